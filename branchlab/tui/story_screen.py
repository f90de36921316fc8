"""What the map and the journal share: a list above what the selected line tells in whole, which can be seen alone."""

from __future__ import annotations

from branchlab.tui.filter_line import FilteredScreen
from branchlab.tui.line_table import LineTable
from branchlab.tui.line_view import LineView
from branchlab.tui.views import BranchView


class StoryScreen(FilteredScreen):
    """A filtered list and a text; ``views`` are the branches that there are, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[str, BranchView] = {}

    def branch(self) -> str | None:
        """Return the branch that the selected line is about, which may be gone."""
        raise NotImplementedError

    def draw_text(self) -> None:
        """Draw what the selected line tells."""
        raise NotImplementedError

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")
        self.query_one(LineView if self.has_class("-zoomed") else LineTable).focus()
        self.call_after_refresh(self.draw_text)

    def action_back(self) -> None:
        if self.has_class("-zoomed"):
            self.action_zoom()
        else:
            self.clear_filter()

    def chosen(self) -> BranchView | None:
        return self.views.get(self.branch() or "")

    def chosen_branches(self) -> tuple[str, ...]:
        """Return the branch, which a note may be about though it is gone."""
        name = self.branch()
        return (name,) if name else ()
