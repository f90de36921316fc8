"""What a run found for each example of its validation set: arrays in one file that any room reads, without torch.

The format is NumPy's ``npz``, read without pickle. The checksums in it are held against the content, and a file that is
damaged counts as not there: a comparison by example is then left out, and nothing else is.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchlab.run_folder.files import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = Mapping[str, "NDArray[Any]"]
"""One row an example, by name: each metric, and ``ids``, the positions in the whole split."""

_SUFFIX = ".npy"


def write_examples(path: Path, arrays: Arrays) -> None:
    """Write arrays; equal ones give equal bytes."""
    from numpy.lib import format as npy

    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for (
            name,
            array,
        ) in arrays.items():  # np.savez has a parameter that a metric may be called like
            member = zipfile.ZipInfo(name + _SUFFIX)
            with archive.open(member, "w", force_zip64=True) as content:
                npy.write_array(content, array, allow_pickle=False)


def read_examples(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the arrays; None where there are none, or the file is damaged."""
    from numpy.lib import format as npy

    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(_SUFFIX): npy.read_array(
                    io.BytesIO(archive.read(name)), allow_pickle=False
                )
                for name in archive.namelist()
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return None
