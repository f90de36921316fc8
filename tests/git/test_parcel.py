from __future__ import annotations

import filecmp
import os
from pathlib import Path

import pytest

from branchlab.errors import RepositoryError
from branchlab.git.parcel import Parcel, pack, unpack

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 12345\n"


def files_of(folder: Path) -> dict[str, tuple[bytes | str, bool]]:
    """Return what is checked out: content or link target, and whether it may be executed."""
    found: dict[str, tuple[bytes | str, bool]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.startswith(".git/") or (path.is_dir() and not path.is_symlink()):
            continue
        is_link = path.is_symlink()
        content = str(path.readlink()) if is_link else path.read_bytes()
        found[name] = content, not is_link and os.access(path, os.X_OK)
    return found


def test_a_commit_arrives_with_its_id_and_every_file(lab, tmp_path: Path) -> None:
    (lab.root / "run.sh").write_text("#!/bin/sh\n")
    (lab.root / "run.sh").chmod(0o755)
    (lab.root / "link").symlink_to("docs/README")
    (lab.root / "ünï code").write_bytes(bytes(range(256)))
    lab.git("add", "--all")
    tip = lab.commit(message="odd files")
    there = tmp_path / "there"
    unpack(pack(lab.repository, tip), there)
    assert lab.git("rev-parse", "HEAD", cwd=there) == tip
    assert lab.git("status", "--porcelain", cwd=there) == ""
    assert files_of(there) == files_of(lab.root)
    assert filecmp.cmp(there / "run.sh", lab.root / "run.sh")


def test_nothing_but_the_one_commit_travels(lab, tmp_path: Path) -> None:
    secret = lab.commit({"secret.txt": "taken out again\n"})
    tip = lab.commit({"secret.txt": None, "model.py": "new\n"})
    (lab.root / "model.py").write_text("dirty\n")
    (lab.root / "untracked").write_text("dirty\n")
    there = tmp_path / "there"
    unpack(pack(lab.repository, tip), there)
    assert (there / "model.py").read_text() == "new\n"
    assert not (there / "untracked").exists()
    assert lab.git("rev-list", "--all", "HEAD", cwd=there) == tip
    objects = lab.git("cat-file", "--batch-all-objects", "--batch-check", cwd=there)
    assert secret not in objects
    assert objects.count(" commit ") == 1


def test_what_a_hostile_config_asks_for_is_not_done(lab, tmp_path: Path, monkeypatch) -> None:
    trap = tmp_path / "trap"
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    (template / "post-checkout").write_text(f"#!/bin/sh\ntouch {trap}\n")
    (template / "post-checkout").chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[init]\ntemplateDir = {template.parent}\n[core]\nsparseCheckout = true\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path))
    config.rename(tmp_path / ".gitconfig")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    there = tmp_path / "there"
    unpack(pack(lab.repository, lab.git("rev-parse", "HEAD")), there)
    assert (there / "model.py").exists()
    assert not trap.exists()


def test_it_can_be_unpacked_inside_another_repository(lab, tmp_path: Path) -> None:
    first = lab.git("rev-parse", "HEAD")
    tip = lab.commit({"model.py": "new\n"})
    there = lab.root / "scratch" / "there"
    unpack(pack(lab.repository, first), there)
    assert lab.git("rev-parse", "HEAD", cwd=there) == first
    assert lab.git("rev-parse", "HEAD") == tip
    assert (lab.root / "model.py").read_text() == "new\n"


def test_a_repository_with_long_ids_has_parcels_too(lab, tmp_path: Path) -> None:
    long = type(lab)(tmp_path / "long", tmp_path)
    (long.root / ".git").rename(tmp_path / "unused")
    long.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    tip = long.commit({"model.py": "x\n"})
    unpack(pack(long.repository, tip), tmp_path / "there")
    assert long.git("rev-parse", "HEAD", cwd=tmp_path / "there") == tip


def test_a_shallow_clone_has_parcels_too(lab, tmp_path: Path) -> None:
    tip = lab.commit({"model.py": "new\n"})
    lab.git("clone", "--quiet", "--depth=1", f"file://{lab.root}", str(tmp_path / "clone"))
    repository = type(lab.repository).find(tmp_path / "clone")
    unpack(pack(repository, tip), tmp_path / "there")
    assert lab.git("rev-parse", "HEAD", cwd=tmp_path / "there") == tip


def test_files_of_large_file_storage_are_refused_by_name(lab) -> None:
    tip = lab.commit({"weights.pt": LFS, "data.bin": LFS})
    with pytest.raises(RepositoryError, match=r"data\.bin and 1 more of .* Git LFS") as caught:
        pack(lab.repository, tip)
    assert "share" in caught.value.hint


def test_a_submodule_arrives_as_an_empty_folder(lab, tmp_path: Path) -> None:
    first = lab.git("rev-parse", "HEAD")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{first},vendor/lib")
    lab.git("commit", "--quiet", "-m", "a submodule")
    unpack(pack(lab.repository, lab.git("rev-parse", "HEAD")), tmp_path / "there")
    assert list((tmp_path / "there" / "vendor" / "lib").iterdir()) == []


def test_a_commit_that_is_not_here_cannot_be_packed(lab) -> None:
    with pytest.raises(RepositoryError):
        pack(lab.repository, "1" * 40)


def test_bytes_that_were_damaged_on_the_way_are_an_error(lab, tmp_path: Path) -> None:
    parcel = pack(lab.repository, lab.git("rev-parse", "HEAD"))
    damaged = bytearray(parcel.pack)
    damaged[len(damaged) // 2] ^= 1
    for content in (bytes(damaged), parcel.pack[:-30], b""):
        with pytest.raises(RepositoryError):
            unpack(Parcel(commit=parcel.commit, pack=content), tmp_path / str(len(content)))


def test_a_parcel_that_holds_another_commit_is_an_error(lab, tmp_path: Path) -> None:
    first = lab.git("rev-parse", "HEAD")
    other = pack(lab.repository, lab.commit({"model.py": "new\n"}))
    with pytest.raises(RepositoryError):
        unpack(Parcel(commit=first, pack=other.pack), tmp_path / "there")
