from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.terminal_text import safe_log_line, safe_text

_INVISIBLE = {
    *("\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180e", "\u3164", "\uffa0"),
    *map(chr, [*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)]),
    *map(chr, [*range(0xFFF9, 0xFFFC), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE0080)]),
}
_BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}
HOSTILE = st.text(
    st.sampled_from(sorted(_INVISIBLE))
    | st.characters(min_codepoint=0, max_codepoint=0x9F)
    | st.sampled_from("\u202e\x1b[];m0\x07\\\r\n\x9b")
    | st.characters()
)


def can_act(character: str) -> bool:
    return (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(character) in _BIDI
        or character in _INVISIBLE
    )


@settings(max_examples=300, deadline=None)
@given(text=HOSTILE)
def test_nothing_that_acts_on_a_terminal_survives(text: str) -> None:
    for safe in (safe_text(text), safe_log_line(text)):
        assert not [character for character in safe if can_act(character)]


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_plain_text_of_any_script_stays_as_it_is(text: str) -> None:
    plain = "".join(c for c in text if c not in _INVISIBLE)
    assert safe_text(plain) == plain


def test_what_was_unsafe_stays_visible() -> None:
    assert safe_text("a\x1b[31mb\u202ec\x7f") == "a␛[31mb<202E>c<007F>"


def test_a_long_name_is_cut() -> None:
    assert len(safe_text("x" * 10_000)) == 2000
    assert safe_text("abcdef", length_max=3) == "abc"


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.text("abc xyz", min_size=1), min_size=1, max_size=5),
    sequence=st.sampled_from(
        [
            "\x1b[31m",
            "\x1b[0m",
            "\x1b[2K",
            "\x1b[1;32;40m",
            "\x1b]0;title\x07",
            "\x9b31m",
            "\x1b]8;;http://x\x1b\\",
            "\x1b(B",
            "\x1bP1$r\x1b\\",
        ]
    ),
)
def test_a_log_line_keeps_its_text_and_drops_sequences(words: list[str], sequence: str) -> None:
    assert safe_log_line(sequence.join(words)) == "".join(words)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("10%\r 50%\r100%\n", "100%"),
        ("100%\r\n", "100%"),
        ("a\tb", "a    b"),
        ("\x1b]52;c;ZXZpbA==\x07copied", "copied"),
        ("\x1b[\x1b[0m31mred", "31mred"),
        ("\x1b\x1b[0m[31mred", "␛[31mred"),
        ("", ""),
    ],
)
def test_a_redrawn_line_shows_its_last_state(line: str, shown: str) -> None:
    assert safe_log_line(line) == shown
