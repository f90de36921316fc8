from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlab.schedule.mirror import PIECE_BYTES_MAX, Copy, Piece, Source, whole_file

EVENTS, LOG, RESULT = (f"attempts/1/{n}" for n in ("events.jsonl", "log.txt", "result.json"))
CHECKPOINT = "checkpoints/last.pt"


class Pair:
    """A run's folder on a node, and the one here."""

    def __init__(self, root: Path) -> None:
        self.there, self.here = root / "there", root / "here"
        self.there.mkdir(parents=True)
        self.here.mkdir()
        self.source, self.copy = Source(self.there), Copy(self.here)

    def append(self, path: str, content: bytes) -> None:
        place = self.there / path
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("ab") as file:
            file.write(content)

    def replace(self, path: str, content: bytes) -> None:
        place = self.there / path
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name("." + place.name)
        beside.write_bytes(content)
        beside.replace(place)

    def pull(self, num_bytes_max: int = 1 << 20, *, is_over: bool = False) -> list[Piece]:
        pieces = self.source.pieces(self.copy.had, num_bytes_max=num_bytes_max, is_over=is_over)
        for piece in pieces:
            self.copy.take(piece)
        return pieces

    def pull_all(self, num_bytes_max: int = 1 << 20) -> list[Piece]:
        pulled: list[Piece] = []
        while pieces := self.pull(num_bytes_max, is_over=True):
            pulled += pieces
        return pulled


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.source.close()


ACTS = st.one_of(
    st.tuples(st.just("append"), st.sampled_from([EVENTS, LOG]), st.binary(max_size=40)),
    st.tuples(
        st.just("replace"), st.sampled_from([CHECKPOINT, "pictures/a.png"]), st.binary(max_size=90)
    ),
    st.tuples(st.sampled_from(["pull", "lost", "twice"]), st.integers(1, 60), st.just(b"")),
)


@given(acts=st.lists(ACTS, max_size=40), last=st.integers(1, 60))
def test_whatever_is_written_lost_or_told_twice_the_copy_ends_up_equal(
    acts, last: int, tmp_path_factory
) -> None:
    pair = Pair(tmp_path_factory.mktemp("pair"))
    for act, what, content in acts:
        match act:
            case "append":
                pair.append(what, content)
            case "replace":
                pair.replace(what, content)
            case _:
                pieces = pair.source.pieces(pair.copy.had, num_bytes_max=what)
                for piece in pieces * {"lost": 0, "pull": 1, "twice": 2}[act]:
                    pair.copy.take(piece)
    pair.replace(RESULT, b"{}")
    pulled = pair.pull_all(last)
    assert content_of(pair.here) == content_of(pair.there)
    assert [p.path for p in pulled][-1] == RESULT
    pair.source.close()


def test_what_grows_is_sent_once(pair: Pair) -> None:
    pair.append(LOG, b"one\n")
    assert [piece.content for piece in pair.pull()] == [b"one\n"]
    assert pair.pull() == []
    pair.append(LOG, b"two\n")
    assert [piece.content for piece in pair.pull()] == [b"two\n"]
    assert (pair.here / LOG).read_bytes() == b"one\ntwo\n"


def test_a_log_that_was_cut_is_sent_again(pair: Pair) -> None:
    pair.append(LOG, b"x" * 100)
    pair.pull()
    os.truncate(pair.there / LOG, 10)
    pair.append(LOG, b"cut")
    pair.pull()
    assert (pair.here / LOG).read_bytes() == b"x" * 10 + b"cut"


def test_a_result_is_withheld_until_the_run_is_over(pair: Pair) -> None:
    pair.append(EVENTS, b"event\n")
    pair.replace(RESULT, b"{}")
    assert [piece.path for piece in pair.pull()] == [EVENTS]
    assert pair.pull() == []
    assert [piece.path for piece in pair.pull(is_over=True)] == [RESULT]


def test_no_answer_is_larger_than_asked_for(pair: Pair) -> None:
    pair.replace(CHECKPOINT, bytes(1000))
    pair.append(LOG, bytes(1000))
    while pieces := pair.pull(300, is_over=True):
        assert sum(len(piece.content) for piece in pieces) <= 300
    assert content_of(pair.here) == content_of(pair.there)


def test_a_checkpoint_that_is_replaced_while_it_is_sent_arrives_as_it_was(pair: Pair) -> None:
    pair.replace(CHECKPOINT, b"a" * 100)
    pair.pull(60)
    pair.replace(CHECKPOINT, b"b" * 100)
    assert not (pair.here / CHECKPOINT).exists()
    pair.pull(60)
    assert (pair.here / CHECKPOINT).read_bytes() == b"a" * 100
    pair.pull()
    assert (pair.here / CHECKPOINT).read_bytes() == b"b" * 100


def test_checkpoints_are_sent_only_so_often_but_the_last_one_is(pair: Pair) -> None:
    pair.source = Source(pair.there, checkpoint_every_s=1000.0)
    for content in (b"first", b"second"):
        pair.replace(CHECKPOINT, content)
        pair.pull()
        assert (pair.here / CHECKPOINT).read_bytes() == b"first"
    pair.pull_all()
    assert (pair.here / CHECKPOINT).read_bytes() == b"second"


def test_what_a_killed_copy_left_half_written_is_taken_away(pair: Pair) -> None:
    pair.replace(CHECKPOINT, b"a" * 100)
    pair.pull(60)
    assert len(content_of(pair.here)) == 1
    Copy(pair.here)
    assert content_of(pair.here) == {}


@pytest.mark.parametrize("path", ["../out", "/etc/out", "", "a/../../out"])
def test_nothing_is_written_outside_of_the_folder(pair: Pair, path: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        pair.copy.take(Piece(path=path, version="", offset=0, content=b"x"))


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1])
def test_a_file_is_handed_over_whole(pair: Pair, size: int) -> None:
    pair.replace(CHECKPOINT, os.urandom(size))
    for piece in whole_file(pair.there, CHECKPOINT):
        assert len(piece.content) <= PIECE_BYTES_MAX
        pair.copy.take(piece)
    assert content_of(pair.here) == content_of(pair.there)


def test_a_file_that_is_not_there_has_no_pieces(pair: Pair) -> None:
    assert list(whole_file(pair.there, CHECKPOINT)) == []
