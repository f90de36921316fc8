"""Each pair is guarded, and run on all sides: off is the base bit for bit, on is head."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from branchlab.analysis.features.changes import FileChange, Nowhere
from branchlab.analysis.features.engine import find_features
from branchlab.analysis.guard.guard import guard_features
from branchlab.analysis.guard.proposal import Proposal
from branchlab.domain import FeatureVerdict

FLAG = "fl"
CASES = runpy.run_path(str(Path(__file__).parent / "cases.py"))["CASES"]
Case = Any


def guarded(case: Case) -> Proposal:
    changes = [FileChange(base_path="m.py", head_path="m.py", base=case.base, head=case.head)]
    around = Nowhere(case.rest)
    features = find_features(changes, around)
    wanted = [one for one in features if one.verdict.rank <= FeatureVerdict.DEFAULT_CHANGED.rank]
    return guard_features(changes, around, wanted=wanted, flag=FLAG)


def seen(files: dict[str, str], show: str, folder: Path) -> Any:
    """Return everything that running a side shows: values, weights, names in order, random state."""
    folder.mkdir()
    for path, text in files.items():
        (folder / path).write_text(text)
    names = [path.removesuffix(".py") for path in files]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module("m")
        torch.manual_seed(7)
        found = eval(show, vars(module))
        if isinstance(found, nn.Module):
            state = {name: value.clone() for name, value in found.state_dict().items()}
            order = [name for name, _ in found.named_modules()]
            found = (list(state), list(state.values()), order, found(torch.arange(4.0)))
        return plain(found), torch.get_rng_state().tolist()
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)


def plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), value.detach().tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def test_there_are_enough_pairs_and_their_names_differ() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_off_is_the_base_and_on_is_head(case: Case, tmp_path: Path) -> None:
    proposal = guarded(case)
    said = [f"{one.feature.symbol}: {one.reason}" for one in proposal.refused]
    assert proposal.files, said
    assert not said
    files = {"m.py": case.head, **case.rest, **proposal.files}
    text = files["m.py"]
    for part in case.has:
        assert part in text, text
    for part in case.lacks:
        assert part not in text.partition("class ")[2], text

    def show(given: str) -> str:
        return case.show.replace("{on1}", given).replace("{on}", f", {given}" if given else "")

    base = seen({"m.py": case.base, **case.rest}, show(""), tmp_path / "base")
    head = seen({"m.py": case.head, **case.rest}, show(""), tmp_path / "head")
    assert base != head, "the pair shows no difference"
    assert seen(files, show(""), tmp_path / "off") == base, text
    assert seen(files, show(f"{FLAG}=False"), tmp_path / "off2") == base, text
    assert seen(files, show(f"{FLAG}=True"), tmp_path / "on") == head, text
