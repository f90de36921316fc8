"""Writes one run's events, one for each line it is told, and sends each of them at once; killed at any moment, the same command goes on.

python -m tests.export.pushing TOOL ROOT EPOCHS
"""

from __future__ import annotations

import sys
from pathlib import Path

from branchlab.config import Track
from branchlab.export.sender import Sender
from branchlab.export.tool import destination_of, open_tool
from branchlab.run_folder import EventWriter, StateFolder, locked
from branchlab.store.index import Index


def main() -> None:
    tool, root, epochs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    state = StateFolder(root / ".branchlab")
    (folder,) = state.all_runs()
    destination = destination_of(tool, Track(), state)
    sender = Sender(open_tool(destination, print), destination.bookmarks(state), print)
    events = EventWriter(folder.attempt(1).events)
    events.follow()
    index = Index(state)
    with locked(folder.lease):
        index.refresh()
        record = index.run(folder.path.name)
        assert record is not None
        sender.send(record, folder)
        for epoch in range(record.epoch + 1, epochs + 1):
            sys.stdin.readline()  # it is told to go on, so that it can be killed here
            events.write(
                "epoch", epoch=epoch, step=10 * epoch, values={"val/x": 1 / epoch}, images_per_s=1.0
            )
            sender.send(record, folder)
            print("sent", epoch, flush=True)
        folder.attempt(1).write_result("done", duration_s=1.0)
    index.refresh()
    record = index.run(folder.path.name)
    assert record is not None
    sender.send(record, folder)
    sender.close()
    print("end", flush=True)


if __name__ == "__main__":
    main()
