"""What runs trained in, as their folders tell it: of one run, and what differs between the two sides of its pairs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from branchlab.analysis.environments import commonest, difference
from branchlab.analysis.results import BranchResults, protocol_of
from branchlab.domain import Origin, RunRecord, RunState
from branchlab.lab.project import Project
from branchlab.lab.words import few
from branchlab.run_folder import JSON
from branchlab.store.index import Index
from branchlab.train.installed import without_user

_SECRET = re.compile(r"(?i)([\w-]*(?:token|secret|passw|credential|api[_-]?key)[\w-]*=).+")
_DIRTY_MAX = 100


def origin_of(project: Project, command: Sequence[str]) -> Origin:
    """Return how runs come to be planned now: the command, without what looks like a secret, and the work tree it was typed in."""
    words = (_SECRET.sub(r"\1***", without_user(word)) for word in command)
    return Origin(
        command=tuple(words),
        checked_out=project.repository.current_branch(at=project.here) or "",
        dirty=tuple(project.repository.dirty_paths(at=project.here)[:_DIRTY_MAX]),
    )


def environment_of(project: Project, run_id: str) -> JSON | None:
    """Return what a run trained in, at its latest attempt that recorded it."""
    attempt = project.state.run(run_id).trained_in()
    return attempt.read_environment() if attempt is not None else None


def environment_rows(document: Mapping[str, Any]) -> dict[str, str]:
    """Return an environment in a few words, by what they are about."""
    python, torch, packages = (document.get(name) or {} for name in ("python", "torch", "packages"))
    cpu, system, git = (document.get(name) or {} for name in ("cpu", "system", "git"))
    cuda = f", CUDA {torch['cuda']}" if torch.get("cuda") and document.get("gpus") else ""
    gpus = [
        f"{gpu.get('name')} ({gpu.get('memory_gib')} GiB)" for gpu in document.get("gpus") or ()
    ]
    driver = f", driver {document['driver']}" if document.get("driver") else ""
    places = f"{cpu.get('usable')} of {cpu.get('cores')} cores"
    command, dirty = document.get("command"), git.get("dirty")
    return {
        "trained in": f"Python {python.get('version')}, torch {torch.get('version')}{cuda}, "
        f"{len(packages.get('installed') or ())} packages ({packages.get('digest')})",
        "on": f"{document.get('host')}: {cpu.get('model')}, {places}, {document.get('memory_gib')} GiB, "
        f"{system.get('name')}" + (f"; {', '.join(gpus)}{driver}" if gpus else ""),
        **({"planned by": shlex.join(command)} if command else {}),
        **({"not in it": f"uncommitted then: {few(dirty)}"} if dirty else {}),
    }


def difference_of_pairs(
    project: Project, ours: BranchResults, theirs: BranchResults, *, against: str
) -> str:
    """Return in one line in what environments of a branch's runs differ from those that they are paired with; mostly nothing."""
    if not ours.records or ours.records == theirs.records:
        return ""
    mine, others = _digests(project, ours.records), _digests(project, theirs.records)
    digests = {seed: digest for seed, (digest, _) in others.items()}
    found = commonest([(mine[seed][0], digests[seed]) for seed in mine.keys() & digests.keys()])
    if found is None:
        return ""
    (digest, other), num = found
    one = environment_of(project, next(run for d, run in mine.values() if d == digest))
    two = environment_of(project, next(run for d, run in others.values() if d == other))
    said = difference(one or {}, two or {})
    return f"{said} in {num} {'run' if num == 1 else 'runs'} of {against}" if said else ""


def difference_from_main(project: Project, record: RunRecord) -> str:
    """Return in what a run's environment differs from that of main's run of the same seed and protocol, the latest one."""
    main, run = project.config.branches.main, record.run
    index = Index(project.state)
    partner = next(
        (
            other
            for other in index.runs_of_branch(main)
            if (other.run.seed, other.state) == (run.seed, RunState.DONE)
            and protocol_of(other.run) == protocol_of(run)
        ),
        None,
    )
    index.close()
    if partner is None or partner.run.id == run.id:
        return ""
    one, two = environment_of(project, run.id), environment_of(project, partner.run.id)
    said = difference(one, two) if one and two else ""
    return f"{said} in {partner.run.id}" if said else ""


def _digests(project: Project, records: Sequence[RunRecord]) -> dict[int, tuple[str, str]]:
    """Return, by seed, the digest of what a done run trained in, and the run; "" where none is recorded."""
    found = {}
    for record in records:
        if record.state is RunState.DONE:
            attempt = project.state.run(record.run.id).trained_in()
            digest = attempt.environment_digest() if attempt is not None else ""
            found[record.run.seed] = (digest, record.run.id)
    return found
