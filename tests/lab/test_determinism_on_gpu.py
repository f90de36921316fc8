"""What only a CUDA device can show; run with ``pytest -m gpu``."""

from __future__ import annotations

import pytest

from branchlab.domain import DeterminismStatus
from branchlab.lab.determinism import check_determinism
from branchlab.lab.run_request import RunRequest
from tests.lab.determinism_cases import AUGMENT, MODEL, noise
from tests.lab.test_determinism import edited

pytestmark = pytest.mark.gpu
POOLED = """        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(), nn.Linear(64, 2))
"""
CASES = {
    "batch-norm": (
        (MODEL, "        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.1), nn.Flatten(), nn.Linear(144, 2))\n"),
        (AUGMENT, noise("torch.rand(batch.inputs.shape, generator=generator, device=generator.device)")),
    ),
    "pool": ((MODEL, POOLED),),
    "own-generator": ((AUGMENT, "        self.own = getattr(self, 'own', None) or torch.Generator('cuda').manual_seed(3)\n" + noise("torch.rand((), generator=self.own, device='cuda')")),),
    "median": ((AUGMENT, noise("batch.inputs.median(0)[0]")),),
}  # fmt: skip


def test_the_check_on_a_gpu_proves_what_holds_and_names_what_torch_refuses(repo) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    for name, edits in CASES.items():
        repo.branch(f"exp/{name}", {"tiny/task.py": edited(edits)})
    request = RunRequest(is_all=True, device="cuda")
    checked = check_determinism(repo.open(), request, steps=12, executor=repo.executor)
    found = {one.branch.removeprefix("exp/"): one for one in checked}

    for name in ("main", "batch-norm"):
        assert found[name].device == "cuda"
        assert found[name].status is DeterminismStatus.DETERMINISTIC
    assert found["pool"].status is found["median"].status is DeterminismStatus.FAILED
    assert "adaptive_avg_pool2d_backward" in found["pool"].cause.operation
    assert "median" in found["median"].cause.operation
    assert found["median"].cause.place.startswith("tiny/task.py:")
    assert found["own-generator"].status is DeterminismStatus.DIFFERS
    assert found["own-generator"].cause.operation == "Tiny.own"
