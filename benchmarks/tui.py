"""How long the overview in the terminal lets one wait, and what it costs while it stands.

Repositories of 200, 1,000 and 10,000 branches (300 files, main moving on; clean, overlapping, conflicting and squash-landed
branches), with recorded runs of main and of a tenth of the branches, three seeds each. ``branchlab tui`` is started on a
pty of 160x45 and of 80x24 and asked as its user would, from exec on:

- starts: the first one ever, with no index, no memo and nothing kept, and later ones; to the first byte, to the frame in
  which a branch's row stands, to the frame in which a branch stands that was made just before (so that nothing kept from
  last time can know it);
- keys: ``j``, PgDn, ``s``, ``/`` and what is typed after it, to the first byte that comes back and until the screen stands
  still; ``j`` again while 8 processes append 20 metrics a second each to the folders of running runs;
- memory over two simulated hours of 8 runs (3,600 epochs each and hour, at full speed), and CPU time while nothing happens.

Compared, in turns: a Textual app of one line (the floor of anything drawn by Textual), Textual's own DataTable with as many
rows of text that are there from the start, and lazygit where it is on PATH.
"""

from __future__ import annotations

import functools
import multiprocessing
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

from repositories import build_lab, git, record_runs
from terminal import Seen, Terminal
from timing import Goal, Report, Timed, in_turns, parser, scripts_folder

from branchlab.run_folder import EventWriter, RunFolder, StateFolder, locked
from branchlab.store.index import Index

_SIZES = (200, 1000, 10_000)
_QUICK_SIZES = (200, 1000)
_SHARE_RUN = 10
_SCREENS = {"160x45": (160, 45), "80x24": (80, 24)}
_ROW = r"exp/idea-\d\d"
_CURSOR = r"▌[\s*]*(\S+)"
_NUM_WRITERS, _WRITES_PER_S = 8, 20
_EPOCHS_PER_HOUR = 3600
_PEERS = {"one": "a Textual app of one line", "table": "Textual's DataTable, rows at hand"}
_BYTE, _ROWS, _ANSWER = "first byte", "branch rows", "answer to j, pressed when rows stand"
_FACTS = "a branch made just before"


def main() -> None:
    made = parser(__doc__, rounds=5)
    made.add_argument("--quick", action="store_true", help="two sizes, fewer keys, no memory")
    made.add_argument("--sizes", type=int, nargs="+", help="numbers of branches [200 1000 10000]")
    options = made.parse_args()
    report = Report("The terminal's overview")
    sizes = options.sizes or (_QUICK_SIZES if options.quick else _SIZES)
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        for num_branches in sizes:
            root = Path(folder) / f"lab{num_branches}"
            build_lab(root, num_branches=num_branches)
            record_runs(root, num_runs=3 * (1 + num_branches // _SHARE_RUN))
            _starts(report, root, num_branches, rounds=options.rounds)
            _keys(report, root, num_branches, num_presses=20 if options.quick else 50)
            if num_branches == 1000:  # noqa: PLR2004  the size that the goals are about
                _while_written(report, root, num_presses=50 if options.quick else 200)
                _at_rest(report, root)
                if not options.quick:
                    _memory(report, root)
    if shutil.which("lazygit") is None:
        report.remarks.append("lazygit was not measured: there is none on PATH")
    report.print(as_json=options.json)


# Starts


def _starts(report: Report, root: Path, num_branches: int, *, rounds: int) -> None:
    """Add tables of starts, and the goals for 1,000 branches."""
    first = {name: Timed() for name in (_BYTE, _ROWS, _ANSWER, _FACTS)}
    for _ in range(1 if num_branches > 1000 else max(1, rounds // 2)):  # noqa: PLR2004  it takes a while
        for path in (root / ".branchlab").iterdir():
            if path.name != "runs":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        _start(root, (160, 45), first)
    report.add(
        f"{num_branches:,} branches, the first start ever (160x45)", _named(first), against=[]
    )
    later = {screen: {name: Timed() for name in first} for screen in _SCREENS}
    peers: dict[str, Callable[[], tuple[float, float]]] = {
        title: functools.partial(_start_peer, root, name, num_branches)
        for name, title in _PEERS.items()
    }
    if shutil.which("lazygit"):
        peers["lazygit"] = functools.partial(_start_lazygit, root)
    own = {
        f"branchlab tui, {screen}": functools.partial(_start, root, size, later[screen])
        for screen, size in _SCREENS.items()
    }
    timed = in_turns({**own, **peers}, rounds=rounds, warm_ups=0)
    shown = {f"{screen}: {name}": one for screen in later for name, one in later[screen].items()}
    shown |= {title: timed[title] for title in peers}
    report.add(f"{num_branches:,} branches, later starts", shown, against=[_PEERS["one"]])
    if num_branches == 1000:  # noqa: PLR2004
        wide = later["160x45"]
        gap = [
            all_ - rows for all_, rows in zip(wide[_FACTS].walls, wide[_ROWS].walls, strict=True)
        ]
        report.goals += [
            Goal("exec to branch rows, 1,000 branches", wide[_ROWS].median, 0.4, " s"),
            Goal("the same, CPU time", wide[_ROWS].cpu or 0.0, 0.4, " s"),
            Goal("from there to what git says now", statistics.median(gap), 1.0, " s"),
        ]


def _named(timed: dict[str, Timed]) -> dict[str, Timed]:
    return {f"branchlab tui: {name}": one for name, one in timed.items()}


def _start(root: Path, size: tuple[int, int], into: dict[str, Timed]) -> tuple[float, float]:
    """Start the TUI once beside a branch that is new; add what it took."""
    terminal, wanted = _open_beside_a_new_branch(root, size)
    rows = terminal.see(_ROW)
    terminal.see(_CURSOR)
    terminal.settle(0.02, within_s=0.1)  # what comes in one go may be read in two
    last = _cursor(terminal.text())
    terminal.press("j")
    seen: dict[str, Seen] = {}
    tests = {_ANSWER: functools.partial(_has_moved, last), _FACTS: _count(wanted)}
    while tests:
        text = terminal.text()
        for name in [name for name, is_there in tests.items() if is_there(text)]:
            seen[name] = Seen(time.perf_counter() - terminal.started, terminal.cpu())
            del tests[name]
        if tests:
            terminal.pump(600)
    terminal.settle(0.5)
    terminal.close()
    assert terminal.first_byte_s is not None
    into[_BYTE].walls.append(terminal.first_byte_s)
    for name, one in {_ROWS: rows, **seen}.items():
        into[name].walls.append(one.wall)
        into[name].cpus.append(one.cpu)
    return seen[_FACTS].wall, seen[_FACTS].cpu


def _count(number: int) -> Callable[[str], bool]:
    """Return what finds a number of branches, however it is written."""
    written = re.compile(rf"(?<![\d,])(?:{number}|{number:,}) branches")
    return lambda text: written.search(text) is not None


def _open_beside_a_new_branch(root: Path, size: tuple[int, int]) -> tuple[Terminal, int]:
    """Start the TUI beside a branch that nothing kept can know; return it, and how many branches there are now."""
    number = 1 + len(git(root, "for-each-ref", "--format=x", "refs/heads/exp").split())
    git(
        root, "branch", f"exp/z{number}", "main"
    )  # short: a name that is cut could not be told from its neighbour
    command = [scripts_folder() / "branchlab", "tui"]
    return Terminal(command, cwd=root, columns=size[0], lines=size[1]), number


def _open_tui(root: Path) -> Terminal:
    """Start the TUI and wait until it shows the lab as it is."""
    terminal, wanted = _open_beside_a_new_branch(root, _SCREENS["160x45"])
    terminal.see(_count(wanted))
    terminal.settle(1.0, within_s=5.0)
    return terminal


def _start_peer(root: Path, name: str, num_rows: int) -> tuple[float, float]:
    terminal = _open_peer(root, name, num_rows)
    seen = terminal.see(_ROW)
    terminal.settle()
    terminal.close()
    return seen.wall, seen.cpu


def _open_peer(root: Path, name: str, num_rows: int) -> Terminal:
    peer = Path(__file__).with_name("textual_peer.py").absolute()
    command = [sys.executable, peer, name, str(num_rows)]
    return Terminal(command, cwd=root, columns=160, lines=45)


def _start_lazygit(root: Path) -> tuple[float, float]:
    terminal = Terminal(["lazygit"], cwd=root, columns=160, lines=45)
    seen = terminal.see(_ROW)
    terminal.settle()
    terminal.close()
    return seen.wall, seen.cpu


# Keys


def _keys(report: Report, root: Path, num_branches: int, *, num_presses: int) -> None:
    """Add a table of what keys take while nothing else happens."""
    own = _open_tui(root)
    answers = _asked(own, num_branches, num_presses, filter_keys="/idea-7")
    own.close("\x1bq")
    peer = _open_peer(root, "table", num_branches)
    peer.see(_ROW)
    peer.settle(1.0)
    theirs = _asked(peer, num_branches, min(20, num_presses), filter_keys="")
    peer.close()
    rows: list[dict[str, str | float | None]] = []
    for key, (first, still) in answers.items():
        other = theirs.get(key)
        against = statistics.median(other[1]) * 1000 if other else None
        ratio = statistics.median(still) * 1000 / against if against else None
        rows.append(
            {
                "": key,
                "first byte, median": statistics.median(first) * 1000,
                **_spread(still, "still"),
                "DataTable still, median": against,
                "x DataTable": ratio,
                "n": len(still),
            }
        )
    report.tables.append((f"{num_branches:,} branches, keys, milliseconds", rows))
    if num_branches == max(_SIZES):
        worst = max(_p95(still) for _, still in answers.values())
        report.goals.append(
            Goal("slowest key at 10,000 rows until all stands still, p95", worst * 1000, 100, " ms")
        )


_Answers = tuple[list[float], list[float]]


def _asked(
    terminal: Terminal, num_branches: int, num_presses: int, *, filter_keys: str
) -> dict[str, _Answers]:
    """Press keys one after the other, each when the last one has been answered."""
    found: dict[str, _Answers] = {}

    def press(name: str, keys: str) -> None:
        first, still = terminal.answer(keys)
        into = found.setdefault(name, ([], []))
        into[0].append(first)
        into[1].append(still)

    for _ in range(num_presses):
        press("j", "j")
    num_pages = num_branches // 45
    for number in range(num_presses):
        if number % num_pages == 0:
            terminal.answer("g")
        press("PgDn", "\x1b[6~")
    for _ in range(max(5, num_presses // 5)):
        press("s: another order", "s")
    for _ in range(max(1, num_presses // 10) if filter_keys else 0):
        for key in filter_keys:
            press("/idea-7, a key", key)
        terminal.answer("\x1b")
    return found


def _spread(values: list[float], name: str = "") -> dict[str, float]:
    prefix = f"{name}, " if name else ""
    return {
        f"{prefix}median": statistics.median(values) * 1000,
        f"{prefix}p95": _p95(values) * 1000,
        f"{prefix}max": max(values) * 1000,
    }


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


# Beside runs that write


def _while_written(report: Report, root: Path, *, num_presses: int) -> None:
    """Add what ``j`` takes while runs write: the answer is the frame in which the cursor stands on another row."""
    folders = _begin_runs(root, "live")
    with _writers(folders, per_s=_WRITES_PER_S):
        terminal = _open_tui(root)
        terminal.see(rf"{_NUM_WRITERS} running")
        cpu, began = terminal.cpu(), time.perf_counter()
        waits = _walk(terminal, num_presses)
        share = (terminal.cpu() - cpu) / (time.perf_counter() - began)
        terminal.close()
    row: dict[str, str | float | None] = {"": "j", **_spread(waits), "n": len(waits)}
    row |= {"CPU, % of a core": share * 100}
    title = f"1,000 branches, {_NUM_WRITERS} runs write {_WRITES_PER_S} metrics a second each: milliseconds to another row"
    report.tables.append((title, [row]))
    report.goals.append(Goal("j while 8 runs write, p95", _p95(waits) * 1000, 50, " ms"))


def _walk(terminal: Terminal, num_presses: int) -> list[float]:
    """Press ``j`` ten times a second and return how long each took until the cursor stood on another row."""
    terminal.forget()
    terminal.press("j")
    time.sleep(0.5)
    terminal.pump(0.1)
    last = _cursor(terminal.text())
    waits = []
    for _ in range(num_presses):
        terminal.forget()
        pressed = terminal.press("j")
        terminal.see(functools.partial(_has_moved, last), within_s=10.0)
        waits.append(time.perf_counter() - pressed)
        last = _cursor(terminal.text())
        until = pressed + 0.1
        while (left := until - time.perf_counter()) > 0:
            terminal.pump(left)
    return waits


def _cursor(text: str) -> str:
    found = re.findall(_CURSOR, text)
    return found[-1] if found else ""


def _has_moved(last: str, text: str) -> bool:
    return _cursor(text) not in {"", last}


def _begin_runs(root: Path, label: str) -> list[RunFolder]:
    """Write plans of runs, of the branches that ran already, at a seed of their own; return their folders."""
    state = StateFolder(root / ".branchlab")
    plans = [
        folder.read_plan() for folder in state.all_runs() if folder.path.name.startswith("idea")
    ]
    seen = {plan.branch: plan for plan in plans if plan.seed == 0}
    folders = []
    for plan in [seen[name] for name in sorted(seen)][:_NUM_WRITERS]:
        run = replace(plan, id=f"{label}-{plan.id}", key=f"{label}{plan.key}", seed=77)
        folder = state.run(run.id)
        folder.write_plan(run)
        folders.append(folder)
    return folders


@contextmanager
def _writers(folders: list[RunFolder], *, per_s: float) -> Iterator[None]:
    stop = multiprocessing.Event()
    processes = [
        multiprocessing.Process(
            target=_write, args=(folder, stop), kwargs={"per_s": per_s}, daemon=True
        )
        for folder in folders
    ]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        stop.set()
        for process in processes:
            process.join(20)
            process.kill()


def _write(folder: RunFolder, stop: Event, *, per_s: float) -> None:
    """Be a run that goes on: hold the lease, append a metric now and an epoch every twenty of them."""
    with locked(folder.lease) as is_ours:
        assert is_ours
        events = _attempt(folder)
        step = 0
        while not stop.wait(1 / per_s):
            step += 1
            _tell(events, step, epoch=step // 20, is_epoch=step % 20 == 0)


def _attempt(folder: RunFolder) -> EventWriter:
    attempt = folder.attempt(1)
    attempt.path.mkdir(parents=True)
    events = EventWriter(attempt.events)
    events.write("start", epochs=100_000, steps=10_000_000, device="cpu")
    return events


def _tell(events: EventWriter, step: int, *, epoch: int, is_epoch: bool) -> None:
    accuracy = 0.9 - 0.3 / (1 + step / 100)
    values = {"val/accuracy": accuracy, "val/loss": 1 - accuracy, "train/loss": 1.1 - accuracy}
    more = {"images_per_s": 9000.0} if is_epoch else {}
    events.write("epoch" if is_epoch else "metric", epoch=epoch, step=step, values=values, **more)


# At rest, and over hours


def _at_rest(report: Report, root: Path) -> None:
    """Add what ten seconds cost in which nothing happens."""
    rows: list[dict[str, str | float | None]] = []
    terminal = _open_tui(root)
    terminal.settle(3.0)
    cpu, num_bytes = terminal.cpu(), terminal.num_bytes
    until = time.perf_counter() + 10
    while (left := until - time.perf_counter()) > 0:
        terminal.pump(left)
    share = (terminal.cpu() - cpu) / 10 * 100
    rows.append(
        {"": "branchlab tui", "CPU, % of a core": share, "bytes": terminal.num_bytes - num_bytes}
    )
    terminal.close()
    report.tables.append(("1,000 branches, ten seconds in which nothing happens", rows))
    report.goals.append(Goal("idle CPU", share, 2.0, " %"))


def _memory(report: Report, root: Path) -> None:
    """Add what it holds before, after one and after two hours of eight runs that write."""
    folders = _begin_runs(root, "hours")
    go = [multiprocessing.Event() for _ in range(2)]
    processes = [
        multiprocessing.Process(target=_write_hours, args=(folder, go), daemon=True)
        for folder in folders
    ]
    for process in processes:
        process.start()
    terminal = _open_tui(root)
    held = [terminal.memory_mib()]
    took = []
    for number, event in enumerate(go, start=1):
        terminal.forget()
        cpu = terminal.cpu()
        event.set()
        _wait_for_index(terminal, root, number * _EPOCHS_PER_HOUR)
        took.append(terminal.cpu() - cpu)
        held.append(terminal.memory_mib())
    terminal.close()
    for process in processes:
        process.kill()
    rows: list[dict[str, str | float | None]] = [
        {"": name, "MiB": mib, "CPU s": cpu}
        for name, mib, cpu in zip(
            ("before", "after an hour", "after two"), held, [None, *took], strict=True
        )
    ]
    title = f"1,000 branches, memory while {_NUM_WRITERS} runs write {_EPOCHS_PER_HOUR:,} epochs an hour, at full speed"
    report.tables.append((title, rows))
    report.goals.append(Goal("memory that a further hour adds", held[2] - held[1], 5.0, " MiB"))


def _wait_for_index(terminal: Terminal, root: Path, epoch: int) -> None:
    """Wait until the TUI has read all that was written up to an epoch, and three seconds more."""
    index = Index(StateFolder(root / ".branchlab"))
    until = time.perf_counter() + 900
    while min((r.epoch for r in index.runs() if r.run.id.startswith("hours-")), default=0) < epoch:
        assert time.perf_counter() < until, "the TUI does not keep up"
        terminal.pump(1.0)
        terminal.forget()
    until = time.perf_counter() + 3
    while (left := until - time.perf_counter()) > 0:
        terminal.pump(left)
    terminal.forget()
    index.close()


def _write_hours(folder: RunFolder, go: list[Event]) -> None:
    with locked(folder.lease):
        events = _attempt(folder)
        step = 0
        for event in go:
            event.wait()
            for _ in range(_EPOCHS_PER_HOUR):
                step += 1
                _tell(events, step, epoch=step, is_epoch=True)
        time.sleep(3600)


if __name__ == "__main__":
    main()
