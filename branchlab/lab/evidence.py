"""What speaks for a merge, in words: the message of its commit, and the text of its pull request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Feature, FeatureVerdict, Parity, ParityCheck, ParityStatus, Verdict

_WIDTH_MAX = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was shown before a branch was merged.

    Attributes:
        short: Name of the experiment.
        verdict: Of its runs against main; None without any.
        check: The project's own check and the last line that it printed; empty without one.
    """

    branch: str
    short: str
    title: str
    idea: str
    main: str
    parity: Parity
    features: Sequence[Feature]
    verdict: Verdict | None
    metric: str
    check: str

    @property
    def subject(self) -> str:
        """One line: what is merged, behind what."""
        flags = ", ".join(self.parity.flags)
        behind = f", behind {flags}" if flags else ""
        whole = (
            f"Merge {self.short}{behind}: {self.title}"
            if self.title != self.short
            else f"Merge {self.short}{behind}"
        )
        return whole if len(whole) <= _WIDTH_MAX else f"Merge {self.short}{behind}"

    def rows(self) -> list[tuple[str, str]]:
        """Return (what, what was shown) of every kind of evidence."""
        found = [
            ("off-parity", parity_said(self.parity.off)),
            ("on-parity", parity_said(self.parity.on)),
        ]
        if self.verdict is not None:
            found.append((self.metric, _result(self.verdict, self.main)))
        else:
            found.append((self.metric, "no runs"))
        found += [
            (f"feature {one.symbol or one.path}", f"{one.verdict}: {one.reason}")
            for one in self.features
            if one.verdict is not FeatureVerdict.INERT
        ]
        if self.check:
            found.append(("check", self.check))
        return found


def commit_message(evidence: Evidence) -> str:
    """Return the message of the merge commit."""
    idea = f"{evidence.idea}\n\n" if evidence.idea else ""
    rows = "".join(f"- {what}: {shown}\n" for what, shown in evidence.rows())
    flags = ", ".join(f"{name} = {_plain(value)}" for name, value in evidence.parity.flags.items())
    trailers = [
        f"Branchlab-Experiment: {evidence.short}",
        *([f"Branchlab-Flags: {flags}"] if flags else []),
        f"Branchlab-Branch: {evidence.branch} {evidence.parity.tip}",
        f"Branchlab-Main: {evidence.parity.main}",
    ]
    return f"{evidence.subject}\n\n{idea}{rows}\n" + "\n".join(trailers) + "\n"


def pull_request(evidence: Evidence, *, made: str, pictures: Sequence[Path]) -> tuple[str, str]:
    """Return (title, body) of the pull request, in Markdown."""
    flags = ", ".join(f"`{name}`" for name in evidence.parity.flags)
    lead = evidence.idea or evidence.title
    how = (
        f"Off by default. Switched on by {flags}; `branchlab run {evidence.main} --experiment {evidence.short}` runs it."
        if flags
        else "It switches nothing on."
    )
    rows = "".join(f"| {_cell(what)} | {_cell(shown)} |\n" for what, shown in evidence.rows())
    shown = "".join(f"![{path.stem}]({path})\n" for path in pictures)
    body = (
        f"{lead}\n\n{how}\n\n| evidence | shown |\n| --- | --- |\n{rows}\n"
        f"Branch `{evidence.branch}` at {evidence.parity.tip}, merged as `{made}` onto `{evidence.main}` at {evidence.parity.main}.\n"
    )
    return evidence.subject, body + (f"\n{shown}" if shown else "")


def parity_said(check: ParityCheck) -> str:
    """Return what holding two trainings side by side showed, in words."""
    if check.status is ParityStatus.NOT_RUN:
        return f"not run: {check.reason}"
    within = (
        f" within {check.tolerance:.3g} of the loss"
        if check.tolerance is not None
        else ", to the bit"
    )
    unseen = (
        f"; changed and not run: {', '.join(check.not_exercised[:3])}"
        if check.not_exercised
        else ""
    )
    return f"{check.status}{within}, {check.steps} steps ({check.compared}){unseen}"


def _result(verdict: Verdict, main: str) -> str:
    seeds = f"{verdict.seeds} seeds"
    if verdict.difference is None:
        return f"{verdict.outcome} against {main}, {seeds}"
    interval = f"{' interim' if verdict.is_interim else ''} {interval_text(verdict)}".rstrip()
    return f"{verdict.outcome} against {main}, {difference_text(verdict)}{interval}, {seeds}"


def _plain(value: bool | float | str) -> str:  # noqa: FBT001  any plain value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
