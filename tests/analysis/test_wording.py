from __future__ import annotations

import pytest

from branchlab.analysis.wording import amount, difference_text, interval_text, is_share
from branchlab.domain import Outcome, Scale, Verdict


def a_verdict(**more: object) -> Verdict:
    values: dict[str, object] = {
        "branch": "b", "outcome": Outcome.BETTER, "difference": 0.0114, "interval": (0.007, 0.0158),
        "confidence": 0.95, "seeds": 3, "p_better": 1.0, "seeds_needed": None, "scale": Scale.SAMPLE,
        "sentence": "", **more,
    }  # fmt: skip
    return Verdict(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "metric",
    ["val/accuracy", "val/iou/shirt", "test/F1", "val/accuracy_top2", "val/dice[camera=left]", "mIoU"],
)  # fmt: skip
def test_shares_are_known_by_their_names(metric: str) -> None:
    assert is_share(metric, [0.0, 0.83, 1.0])


@pytest.mark.parametrize("metric", ["val/loss", "fid", "val/mapping", "val/loss[f1]", "accurate"])
def test_other_metrics_keep_their_own_unit(metric: str) -> None:
    assert not is_share(metric, [0.2, 0.3])


@pytest.mark.parametrize("values", [[83.1, 84.2], [0.5, 1.2], [-0.1, 0.5], [0.5, float("nan")]])
def test_a_share_that_is_logged_otherwise_keeps_its_own_unit(values: list[float]) -> None:
    assert not is_share("val/accuracy", values)


def test_points_are_hundredths() -> None:
    assert amount(0.0114, in_points=True, sign=True) == "+1.14"
    assert amount(-0.0114, in_points=False, sign=True) == "-0.0114"
    assert amount(-1e-17, in_points=True, sign=True) == "+0.00"
    share, own = a_verdict(is_share=True), a_verdict()
    assert (difference_text(share), interval_text(share)) == ("+1.14pt", "[+0.70, +1.58]")
    assert (difference_text(own), interval_text(own)) == ("+0.0114", "[+0.0070, +0.0158]")
    nothing = a_verdict(difference=None, interval=None)
    assert (difference_text(nothing), interval_text(nothing)) == ("-", "")
