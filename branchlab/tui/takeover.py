"""The driver that goes on where the first frame stands: entering the alternate screen again would clear it."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

from branchlab.tui.first_frame import Standing

_ENTER = "\x1b[?1049h"


def taking_over(frame: Standing) -> type[LinuxDriver]:
    """Return the class of a driver that draws over a frame, and leaves the terminal's modes as they were before it."""

    class TakingOver(LinuxDriver):
        def start_application_mode(self) -> None:
            super().start_application_mode()  # type: ignore[no-untyped-call]
            if not frame.is_taken:
                frame.is_taken = True
                self.attrs_before = frame.modes

        def write(self, data: str) -> None:
            super().write(data if frame.is_taken else data.replace(_ENTER, ""))

    return TakingOver
