"""One copy of a data set in memory for all runs of a machine.

Whatever a project's code loads, runs of one sample hold the same bytes. They are kept once, in shared memory, under the
digest of their content, and every run maps them privately: pages are shared until somebody writes to one, and then only
that page is copied, for the writer alone. A file lives as long as a run uses it or the warm parent that started it lives.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  a folder of our own in it, for this user alone
_BYTES_MIN = 1 << 20
"""Smaller tensors are not worth a file."""
_FREE_MIN = 2.0
"""Shared memory is filled only where so many times the size is free."""
_in_use: list[int] = []
"""Descriptors whose locks say that this process maps a file; the kernel closes them."""


def shared_folder() -> Path | None:
    """Return where shared tensors are kept, or None where there is no shared memory or it is not this user's."""
    folder = _SHARED_MEMORY / f"branchlab-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = folder.lstat()
    except OSError:
        return None
    is_ours = owner.st_uid == os.getuid() and not owner.st_mode & 0o077
    return folder if is_ours and folder.is_dir() else None


def share(tensor: Tensor) -> Tensor:
    """Return an equal tensor that other runs of this machine map too; the tensor itself where that does not serve."""
    size = tensor.numel() * tensor.element_size()
    folder = shared_folder()
    if (
        folder is None
        or tensor.device.type != "cpu"
        or not tensor.is_contiguous()
        or size < _BYTES_MIN
    ):
        return tensor
    content: Any = tensor.detach().flatten().view(torch.uint8).numpy()
    path = folder / hashlib.blake2b(content, digest_size=20).hexdigest()
    try:
        if not _take(path):
            if os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize < _FREE_MIN * size:
                return tensor
            beside = path.with_suffix(f".{os.getpid()}.tmp")
            try:
                content.tofile(beside)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
            if not _take(path):  # cleared away in between
                return tensor
        mapped = torch.from_file(str(path), shared=False, size=tensor.numel(), dtype=tensor.dtype)
    except (OSError, RuntimeError):
        return tensor
    return mapped.view(tensor.shape)


def _take(path: Path) -> bool:
    """Lock a file as one that is mapped; returns whether it is there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    fcntl.flock(fd, fcntl.LOCK_SH)
    if not path.exists():
        os.close(fd)
        return False
    _in_use.append(fd)
    return True


def clear() -> None:
    """Take away files that no run maps any more, and what killed ones left half written."""
    folder = shared_folder()
    for path in folder.iterdir() if folder is not None else ():
        with suppress(OSError):
            if path.suffix == ".tmp":
                writer = path.suffixes[0].lstrip(".")
                if not Path(f"/proc/{writer}").exists():
                    path.unlink()
                continue
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(fd)
