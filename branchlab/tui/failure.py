"""What becomes of a bug in a worker: the whole traceback goes to a file, one line of it to the screen."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

from branchlab.run_folder import StateFolder

_SIZE_MAX = 1 << 20


def record_failure(error: Exception, state: StateFolder) -> str:
    """Append a traceback to ``.branchlab/tui.log`` and return one line that names it."""
    log = state.path / "tui.log"
    what = f"{type(error).__name__}: {error}"
    lines = traceback.format_exception(error)
    try:
        state.create()
        if log.exists() and log.stat().st_size > _SIZE_MAX:
            log.unlink()
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.now(UTC).isoformat()}\n{''.join(lines)}\n")
    except OSError as refused:
        return f"a bug in branchlab: {what} (no traceback: {refused})"
    return f"a bug in branchlab: {what}; its traceback: {log}"
