"""Before/after pairs with the verdict that a careful reader gives them; one test a case.

A pair may look like one verdict and be another: those name it in ``looks_like``.
"""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from branchlab.analysis.features.changes import FileChange, Nowhere
from branchlab.analysis.features.engine import find_features
from branchlab.domain import Feature, FeatureVerdict

CORPUS = Path(__file__).parent / "corpus"


def cases() -> list[Any]:
    found = []
    for path in sorted(CORPUS.glob("*.toml")):
        found += [
            pytest.param(case, id=f"{path.stem}: {case['name']}")
            for case in tomllib.loads(path.read_text())["case"]
        ]
    return found


def changes_of(case: dict[str, Any]) -> list[FileChange]:
    """Return the files that differ; one that moved with equal text is a rename, as git has it."""
    base, head = case.get("base", {}), case.get("head", {})
    gone = {path: text for path, text in base.items() if path not in head}
    found = []
    for path, text in head.items():
        if path in base:
            if base[path] != text:
                found.append(FileChange(base_path=path, head_path=path, base=base[path], head=text))
            continue
        old = next((p for p, t in gone.items() if _is_alike(t, text)), None)
        if old is not None:
            found.append(FileChange(base_path=old, head_path=path, base=gone.pop(old), head=text))
        else:
            found.append(
                FileChange(base_path=path, head_path=path, base=None, head=text, is_added=True)
            )
    for path, text in gone.items():
        found.append(
            FileChange(base_path=path, head_path=path, base=text, head=None, is_deleted=True)
        )
    return found


def _is_alike(old: str, new: str) -> bool:
    """Whether git would call it a rename: at least half of the lines are kept."""
    lines, others = old.splitlines(), set(new.splitlines())
    kept = sum(line in others for line in lines)
    return kept * 2 >= max(len(lines), len(new.splitlines()), 1)


def features_of(case: dict[str, Any]) -> tuple[Feature, ...]:
    unchanged = {p: t for p, t in case.get("base", {}).items() if case.get("head", {}).get(p) == t}
    return find_features(changes_of(case), Nowhere({**unchanged, **case.get("rest", {})}))


def worst_of(features: tuple[Feature, ...]) -> str:
    return str(features[0].verdict) if features else "none"


def test_the_corpus_is_large_and_holds_pairs_that_mislead() -> None:
    found = [param.values[0] for param in cases()]
    assert len(found) >= 150
    assert sum("looks_like" in case for case in found) >= 40
    assert {case["verdict"] for case in found} >= set(FeatureVerdict) - {FeatureVerdict.LANDED}


@pytest.mark.parametrize("case", cases())
def test_case(case: dict[str, Any]) -> None:
    features = features_of(case)
    said = "\n".join(f"{f.verdict} {f.symbol} {f.path}:{f.line} {f.reason}" for f in features)
    worst = worst_of(features)
    assert worst in {case["verdict"], *case.get("accept", [])}, said
    if worst != case["verdict"] or not features:
        return
    deciding = [one for one in features if one.verdict == worst]
    for word in case.get("reason", []):
        assert any(word.lower() in one.reason.lower() for one in deciding), f"{word!r}\n{said}"
    if "flag" in case:
        assert case["flag"] in {one.flag for one in features}, said
