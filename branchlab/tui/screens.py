"""Where screens are made: a place's module, and what it needs of lab, is imported when one first goes there.

What the overview itself needs not is a quarter of what would else be imported before it stands.
"""

from __future__ import annotations

from branchlab.tui.frame import LabScreen


def runs() -> LabScreen:
    """Return the list of all runs."""
    from branchlab.tui.runs_screen import RunsScreen

    return RunsScreen()


def compare() -> LabScreen:
    """Return the comparison of branches."""
    from branchlab.tui.compare_screen import CompareScreen

    return CompareScreen()


def experiment_map() -> LabScreen:
    """Return the map of experiments."""
    from branchlab.tui.map_screen import MapScreen

    return MapScreen()


def journal() -> LabScreen:
    """Return the journal."""
    from branchlab.tui.journal_screen import JournalScreen

    return JournalScreen()


def run(run_id: str) -> LabScreen:
    """Return the screen of one run."""
    from branchlab.tui.run_screen import RunScreen

    return RunScreen(run_id)


def branch(name: str, pane: str) -> LabScreen:
    """Return the screen of one branch, on one of its panes."""
    from branchlab.tui.branch_screen import BranchScreen

    return BranchScreen(name, pane)
