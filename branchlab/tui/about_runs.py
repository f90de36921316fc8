"""What the screens about runs share: their verbs, and the reading of one run's curves, log and machine in threads."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, Literal

from branchlab.domain import RunRecord
from branchlab.lab.project import Project
from branchlab.lab.run_curves import Axis, run_curves
from branchlab.lab.run_log import LogPart, read_log
from branchlab.lab.run_usage import Machine, machine_of
from branchlab.lab.words import few
from branchlab.tui.asking import Answer, Read
from branchlab.tui.commands import Command, Manner
from branchlab.tui.filter_line import FilteredScreen
from branchlab.tui.frame import LabScreen
from branchlab.tui.log_view import LogView
from branchlab.tui.run_charts import ChartView, Curves, next_metric, thin
from branchlab.tui.verbs import VERBS

_FIRST_BYTES = 64 << 10
_AT_ONCE_BYTES = 8 << 20
Part = Literal["curves", "machine", "log", ""]


class AboutRuns(FilteredScreen):
    """A screen on which runs are chosen, with curves, a log, and a line to type in.

    Attributes:
        chart: How curves are looked at. ``metric``: whose; empty for the one that verdicts are about.
        reading: The run that is looked at.
    """

    LOG_BYTES: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        self.chart = ChartView()
        self.metric = ""
        self.reading = RunWatch(self, self.NAME, log_bytes=self.LOG_BYTES)

    def draw_curves(self, *, is_other: bool) -> None:
        """Draw the curves; ``is_other`` where another metric or axis has to be read."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        self.reading.forget()

    def recall_chart(self) -> None:
        """Look at curves as at the last start."""
        memory = self.lab.memory
        self.metric = memory.text("runs.metric")
        axis = Axis(memory.text("runs.axis", Axis.STEP, among=frozenset(Axis)))
        self.chart = ChartView(axis=axis, smooth=0.6 if memory.is_set("runs.smooth") else 0.0)

    def chart_metric(self) -> str:
        """Return the metric of the chart."""
        return self.metric or self.lab.project.config.run.metric

    def action_follow(self) -> None:
        log = self.query_one(LogView)
        log.follow(is_on=not log.is_following)

    def action_metric(self) -> None:
        if self.reading.curves is not None:
            self.metric = next_metric(self.reading.curves.own.names, self.chart_metric())
            self.lab.memory.keep("runs.metric", self.metric)
            self.draw_curves(is_other=True)

    def action_smooth(self) -> None:
        self.chart = self.chart.smoother()
        self.lab.memory.keep("runs.smooth", bool(self.chart.smooth))
        self.draw_curves(is_other=False)

    def action_axis(self) -> None:
        self.chart = self.chart.next_axis()
        self.lab.memory.keep("runs.axis", self.chart.axis)
        self.draw_curves(is_other=True)

    def action_zoom(self, by: float) -> None:
        self.chart = self.chart.zoomed(by)
        self.draw_curves(is_other=False)

    def action_pan(self, by: float) -> None:
        self.chart = self.chart.moved(by)
        self.draw_curves(is_other=False)

    def chosen_records(self) -> Sequence[RunRecord]:
        """Return the runs that are marked, else the one that is selected."""
        raise NotImplementedError

    def chosen_runs(self) -> tuple[str, ...]:
        return tuple(record.run.id for record in self.chosen_records())

    def chosen_branches(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(record.run.branch for record in self.chosen_records()))

    def action_offer(self, verb: str) -> None:
        """Offer a verb; only runs that go on or wait can be stopped."""
        if verb != "cancel":
            super().action_offer(verb)
            return
        chosen = self.chosen_records()
        over = [record for record in chosen if record.state.is_over]
        names = tuple(record.run.id for record in chosen if not record.state.is_over)
        if over:
            said = f"{few([record.run.id for record in over])}: over already, nothing to stop"
            self.lab.say(said, is_error=not names)
        elif not chosen:
            self.lab.say("nothing is selected")
        if names:
            self.offer(VERBS["cancel"], names)

    def action_again(self) -> None:
        """Offer the command that trains the selected run's branch as it was planned, and goes on with what has not ended."""
        chosen = self.chosen_records()
        if not chosen:
            self.lab.say("nothing is selected")
            return
        record = chosen[0]
        if len(self.chosen_branches()) > 1:
            self.offer(VERBS["run"], self.chosen_branches())
            return

        def read(project: Project) -> Command:
            from branchlab.lab.again import again_arguments

            arguments = again_arguments(project, record.run)
            return Command(
                title=f"Run {record.run.branch} again",
                arguments=(*arguments, "--detach"),
                effect="Goes on with what has not come to its end; results that are known are reused.",
                manner=Manner.CHANGES,
            )

        self.lab.ask("again", record.run.id, read)

    def show_answer(self, answer: Answer) -> None:
        if answer.slot == "again" and isinstance(answer.value, Command):
            self.lab.carry_out(answer.value)


class RunWatch:
    """One run that a screen looks at: what it shows of it, and what is asked for when it has got on."""

    def __init__(self, screen: LabScreen, slot: str, *, log_bytes: int) -> None:
        self._screen, self._slot, self._log_bytes = screen, slot, log_bytes
        self._asked: dict[str, Hashable] = {}
        self._num_log_looks = 0
        self._part: LogPart | None = None
        self._is_first_look = True
        self.run_id = ""
        self.curves: Curves | None = None
        self.machine: Machine | None = None

    def turn_to(self, run_id: str) -> bool:
        """Look at another run; return whether it is another."""
        if run_id == self.run_id:
            return False
        self.run_id = run_id
        self.curves, self.machine, self._part = None, None, None
        self._is_first_look = True
        self._asked = {}
        return True

    def forget(self) -> None:
        """Ask everything again: an answer that came while another screen was seen went there."""
        self._asked = {}

    def look(
        self, record: RunRecord, beside: RunRecord | None, metrics: Sequence[str], axis: Axis
    ) -> None:
        """Ask for the curves and the machine of the run, where they can be other ones than before."""
        run_id = record.run.id
        beside_id = beside.run.id if beside is not None else ""
        stamps = (_stamp(record), _stamp(beside) if beside is not None else None)

        def read_curves(project: Project) -> Curves:
            own = thin(run_curves(project, run_id, metrics, axis))
            other = thin(run_curves(project, beside_id, metrics, axis)) if beside_id else None
            return Curves(own=own, beside=other, beside_id=beside_id)

        self._ask("curves", (run_id, beside_id, tuple(metrics), axis, stamps), read_curves)
        how = (run_id, record.attempts, record.state)
        if self._asked.get("how") != how:
            # Of a run that is over the log is not looked at again, but for what it said last.
            self._asked["how"] = how
            self.look_at_log()
        taken = (run_id, record.attempts, record.state, tuple(record.usage.items()))
        self._ask("machine", taken, lambda project: machine_of(project, run_id))

    def look_at_log(self) -> None:
        """Ask for what the log has new; costs a look at its size where that is nothing."""
        run_id, after = self.run_id, self._part
        # The end of a long log is there at once, all of it a second later.
        wanted = min(self._log_bytes, _FIRST_BYTES) if self._is_first_look else self._log_bytes
        self._num_log_looks += 1

        def read(project: Project) -> LogPart:
            most = max(wanted, _AT_ONCE_BYTES)
            return read_log(project, run_id, after=after, from_end_bytes=wanted, bytes_max=most)

        self._ask("log", (run_id, self._num_log_looks), read)

    def take(self, answer: Answer, log: LogView | None) -> Part:
        """Take what was asked for; return of what there is something new to draw."""
        if not answer.slot.startswith(f"{self._slot}-"):
            return ""
        value = answer.value
        if isinstance(value, Curves) and value.own.run_id == self.run_id:
            self.curves = value
            return "curves"
        if isinstance(value, Machine) and value.run_id == self.run_id:
            self.machine = value
            return "machine"
        if isinstance(value, LogPart) and value.run_id == self.run_id and log is not None:
            before = self._part
            is_next = value.is_anew or (before is not None and before.end == value.start)
            if not is_next:
                return ""
            self._part = value
            log.take(value)
            is_end_only = self._is_first_look and value.is_left_out
            self._is_first_look = False
            if is_end_only and self._log_bytes > _FIRST_BYTES:
                self._part = None
                self.look_at_log()
            elif value.has_more:
                self.look_at_log()
            return "log"
        return ""

    def _ask(self, what: str, key: Hashable, read: Read) -> None:
        if self._asked.get(what) != key:
            self._asked[what] = key
            self._screen.lab.ask(f"{self._slot}-{what}", key, read)


def _stamp(record: RunRecord) -> Hashable:
    return record.attempts, record.state, record.epoch, record.step
