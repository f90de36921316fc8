from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from branchlab.train import sharing
from branchlab.train.sharing import clear, share

pytestmark = pytest.mark.skipif(
    not Path("/dev/shm").is_dir(), reason="there is no shared memory here"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sharing, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(sharing, "_in_use", [])
    found = sharing.shared_folder()
    assert found is not None
    return found


def large(seed: int = 0, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randint(0, 100, (50, 200, 200), generator=source).to(dtype)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int64, torch.float32, torch.bool, torch.bfloat16]
)
def test_a_shared_tensor_is_equal_and_kept_once(folder: Path, dtype: torch.dtype) -> None:
    tensor = large(dtype=dtype)
    one, other = share(tensor), share(tensor.clone())
    assert torch.equal(one, tensor)
    assert (one.shape, one.dtype) == (tensor.shape, dtype)
    assert one.data_ptr() != tensor.data_ptr()
    assert torch.equal(other, tensor)
    assert len(list(folder.iterdir())) == 1


def test_who_writes_into_it_writes_alone() -> None:
    one, other = share(large()), share(large())
    before = other.clone()
    one[:] = 0
    assert torch.equal(other, before)
    assert torch.equal(share(large()), before)


def test_small_tensors_and_views_stay_what_they_are(folder: Path) -> None:
    small, view = torch.zeros(10), large().transpose(0, 1)
    assert share(small) is small
    assert share(view) is view
    assert list(folder.iterdir()) == []


def test_a_full_memory_shares_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_FREE_MIN", 1e18)
    tensor = large()
    assert share(tensor) is tensor
    assert list(folder.iterdir()) == []


def test_what_no_process_maps_is_cleared_away_and_nothing_else(folder: Path) -> None:
    share(large(1))
    program = (
        "import sys, pathlib, torch\n"
        "from branchlab.train import sharing\n"
        "sharing._SHARED_MEMORY = pathlib.Path(sys.argv[1])\n"
        "sharing.share(torch.ones(2_000_000, dtype=torch.uint8))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(folder.parent)], check=True)
    (folder / "abc.999999999.tmp").write_bytes(b"half")
    assert len(list(folder.iterdir())) == 3
    clear()
    (left,) = folder.iterdir()
    assert torch.equal(share(large(1)), large(1))
    assert list(folder.iterdir()) == [left]
