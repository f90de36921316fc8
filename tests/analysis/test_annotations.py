"""Comments on what flows through the code: their words, and their way into a text and out of it again."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.analysis.annotations.line_length import line_length
from branchlab.analysis.annotations.review import CommentState, Reviewed, Scope, review, strip
from branchlab.analysis.annotations.source import is_same_code, read_source, stripped
from branchlab.analysis.annotations.symbols import named_shape, named_size
from branchlab.analysis.annotations.wording import is_ours, said_of
from branchlab.domain import Array, BatchSize, Group, SeenLine, Traced

BATCHES = (
    BatchSize(batch=4, height=28, width=28),
    BatchSize(batch=24, height=28, width=28),
    BatchSize(batch=4, height=56, width=84),
)
SQUARE = (*BATCHES[:2], BatchSize(batch=4, height=56, width=56))


def line(*batches, before=(), path="net.py", first=1, last=None, is_flow=True):
    """Return a line that was seen; each batch is a list of calls, a call an Array or a {label: Array}."""

    def call(one):
        return tuple(one.items()) if isinstance(one, dict) else (("", one),)

    return SeenLine(
        path=path,
        first=first,
        last=last or first,
        is_flow=is_flow,
        before=tuple(map(call, before)),
        batches=tuple(tuple(map(call, calls)) for calls in batches),
    )


def f32(*shape):
    return Array(shape, "float32")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((16, 16, 16), "16"),
        ((4, 24, 4), "B"),
        ((8, 48, 8), "2B"),
        ((2, 12, 2), "B/2"),
        ((5, 25, 5), "B+1"),
        ((8, 24, 8), "N"),  # filled up to rows of eight
        ((28, 28, 56), "H"),
        ((28, 28, 84), "W"),
        ((14, 14, 28), "H/2"),
        ((3, 3, 7), "H//8"),
        ((4, 4, 11), "ceil(W/8)"),
        ((56, 56, 112), "2H"),
        ((26, 26, 54), "H-2"),
        ((13, 13, 41), "W/2-1"),
        ((784, 784, 4704), "H*W"),
        ((49, 49, 294), "H*W/16"),
        ((50, 50, 295), "H*W/16+1"),
        ((9, 9, 70), "(H//8)*(W//8)"),
        ((196, 1176, 1176), "B*H*W/16"),
        ((200, 1200, 1180), "B*(H*W/16+1)"),
        ((17, 23, 11), "N"),
        ((17, 17, 19), "N"),
        ((0, 3, 1), "N"),
    ],
)
def test_a_size_is_called_by_what_it_follows(values, said) -> None:
    assert named_size(values, BATCHES) == said


def test_height_and_width_are_told_apart_by_their_place_where_both_grew_alike() -> None:
    assert named_shape([(4, 8, 14, 14), (24, 8, 14, 14), (4, 8, 28, 28)], SQUARE) == (
        *("B", "8", "H/2", "W/2"),
    )


def test_a_size_is_a_number_where_no_larger_image_was_seen() -> None:
    assert named_shape([(4, 3, 28, 28), (24, 3, 28, 28)], BATCHES[:2]) == ("B", "3", "28", "28")
    assert named_shape([(4, 3, 28, 28)], BATCHES[:1]) == ("B", "3", "28", "28")


def test_calls_that_differ_stand_side_by_side_three_at_most() -> None:
    calls = [[f32(b, c, s, t) for c in (8, 16, 32, 64)] for b, s, t in ((4, 28, 28), (24, 28, 28), (4, 56, 84))]  # fmt: skip
    assert said_of(line(*calls), BATCHES) == (
        "[B, 8, H, W] | [B, 16, H, W] | [B, 32, H, W] float32 | ..."
    )
    assert (
        said_of(line(*([calls[at][0]] * 5 for at in range(3))), BATCHES) == "[B, 8, H, W] float32"
    )


def test_a_loop_over_examples_says_what_all_have_in_common() -> None:
    assert said_of(line([f32(3, 8)] * 4, [f32(3, 8)] * 24, [f32(3, 8)] * 4), BATCHES) == (
        "[3, 8] float32"
    )
    boxes = ([f32(2, 4), f32(5, 4)], [f32(1, 4)], [f32(9, 4)])
    assert said_of(line(*boxes), BATCHES) == "[N, 4] float32"


def test_lists_tables_and_records_are_short() -> None:
    def look(b):
        same = Group("list", (), tuple(f32(b, 8) for _ in range(3)), 3)
        table = Group("table", ("cls", "box"), (f32(b, 10), f32(b, 4)), 2)
        record = Group("Batch", ("inputs", "ids"), (f32(b, 1), Array((b,), "int64")), 2)
        each = Group("list", (), tuple(f32(3, 5) for _ in range(b)), b)
        return [{"same": same, "table": table, "record": record, "each": each}]

    assert said_of(line(look(4), look(24), look(4)), BATCHES) == (
        "same 3 x [B, 8] float32, table {cls: [B, 10] float32, box: [B, 4] float32}, "
        "record Batch(inputs [B, 1] float32, ids [B] int64), each B x [3, 5] float32"
    )


def test_what_was_there_before_any_batch_has_no_symbols() -> None:
    assert said_of(line(before=[f32(4, 28)]), BATCHES) == "[4, 28] float32"
    assert said_of(line([], [], []), BATCHES) == ""


def shown():
    sizes = st.lists(st.integers(0, 40), max_size=4).map(tuple)
    dtypes = st.sampled_from(["float32", "bfloat16", "int64", "uint8", "bool", "np.uint8", "PIL.RGB", "complex64", "float8_e4m3fn"])  # fmt: skip
    arrays = st.builds(Array, sizes, dtypes)

    def groups(inner):
        lists = st.lists(st.one_of(st.none(), inner), min_size=1, max_size=6)
        names = st.text(st.characters(codec="utf-8"), max_size=5)
        return lists.flatmap(
            lambda items: st.one_of(
                st.just(Group("list", (), tuple(items), len(items))),
                st.lists(names, min_size=len(items), max_size=len(items)).map(
                    lambda keys: Group("table", tuple(keys), tuple(items), len(items))
                ),
                st.just(Group("Out", tuple("abcdef"[: len(items)]), tuple(items), len(items))),
            )
        ).filter(lambda group: any(group.items))

    return st.recursive(arrays, groups, max_leaves=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["", "x", "self.y", "größe"]), shown(), min_size=1), min_size=1, max_size=5))  # fmt: skip
def test_what_is_said_is_known_again(calls) -> None:
    said = said_of(line(calls), BATCHES)
    assert said
    if not said.startswith("_"):
        assert is_ours(said), said


@pytest.mark.parametrize(
    "text",
    [
        "[] float32",
        "more (B x {boxes: [N, 4] float32, labels: [N] int64}), y [B] bool",
        "(B x Out(boxes [N, 4], scores [N]), _, []) float32",
        "(H//8)*(W//8) x [B, B*(H*W/16+1), ceil(H/8)] bfloat16 | [2B] np.uint8 | ...",
        "{cls: [B, 10], box-0: (3 x [B, 4], ...), ...} float32",
        "return [H-2, 3H/2] PIL.I;16",
    ],
)
def test_words_of_ours_are_known(text) -> None:
    assert is_ours(text)


@pytest.mark.parametrize(
    "text",
    [
        "The default width.",
        "int: how many",
        "see [1] for float32",
        "[B, C, H, W]",
        "x [B, 3]",
        "[B, C] float32",
        "[B, 3] float32 and more",
        "list[int] float32",
        "",
    ],
)
def test_words_of_other_people_are_not_taken_for_ours(text) -> None:
    assert not is_ours(text)


ODD = '''
@decorated(
    "x",  # why
)
def forward(self, a, *,
            b=1):
    """Return  #: [B] float32."""
    x = f(a); y = g(x)   # by hand   
    if x: y = x
    z = call(
        a,  # first

        "# no comment",
    )
    s = """one
  #: [B, 3] float32
two"""
    w = a + \\
        b
    for i in z: pass
    return {
        "a": x,
    }  # type: ignore


class Net:
    #: The width, for Sphinx.
    width = 3

    def run(self): return self.width
'''  # noqa: W291


def variants():
    yield ODD
    yield ODD.replace("\n", "\r\n")
    yield ODD.replace("    ", "\t")
    yield "\ufeff" + ODD
    yield ODD.rstrip("\n")
    yield "# -*- coding: utf-8 -*-\n" + ODD.replace("why", "größer")
    yield ODD.replace("class Net", "\fclass Net")


def every(text):
    """Return something to say of each line of a text."""
    num = text.count("\n") + 1
    return [line([f32(4, n)], [f32(24, n)], [f32(4, n)], first=n) for n in range(1, num + 1)]


def annotated(text, *, length_max=100, lines=None, scope=None):
    traced = Traced(batches=BATCHES, lines=tuple(every(text) if lines is None else lines))
    found = review({"net.py": text}, traced, scope or Scope(), length_max=length_max)
    assert len(found) < 2
    return found[0] if found else Reviewed(path="net.py", before=text, after=text)


@pytest.mark.parametrize("text", list(variants()))
@pytest.mark.parametrize("length_max", [100, 30, 24])
def test_taking_comments_away_gives_back_every_byte(text, length_max) -> None:
    found = annotated(text, length_max=length_max)

    assert found.after != text
    assert stripped(found.after) == text
    assert is_same_code(text, found.after)
    assert found.after.count("\r\n") == (found.after.count("\n") if "\r\n" in text else 0)


@pytest.mark.parametrize("text", list(variants()))
def test_comments_by_hand_are_all_there(text) -> None:
    after = annotated(text).after
    for comment in (
        "# why",
        "# by hand   ",
        "# first",
        "# type: ignore",
        "#: The width, for Sphinx.",
    ):
        assert after.count(comment) == text.count(comment) or "größer" in text
    assert stripped(text) == text


@settings(max_examples=40, deadline=None)
@given(
    picked=st.sets(st.integers(1, 45)),
    text=st.sampled_from(list(variants())),
    length_max=st.sampled_from([24, 30, 44, 100]),
)
def test_any_lines_can_be_said_something_of_and_it_is_all_taken_away(
    picked, text, length_max
) -> None:
    lines = [one for one in every(text) if one.first in picked]
    once = annotated(text, lines=lines, length_max=length_max)
    assert stripped(once.after) == text
    assert ast.dump(ast.parse(once.after.encode())) == ast.dump(ast.parse(text.encode()))
    again = [
        one for one in every(once.after)
        if (at := read_source(once.after).statement_at(one.first)) and at.comments
    ]  # fmt: skip
    twice = annotated(once.after, lines=again, length_max=1000, scope=Scope(adds=False))
    assert stripped(twice.after) == text


def test_the_same_twice_is_the_same_once() -> None:
    text = "def f(a):\n    x = g(a)\n    return x\n"
    lines = [line([f32(4, 3)], [f32(24, 3)], [f32(4, 3)], first=n) for n in (2, 3)]
    once = annotated(text, lines=lines)
    assert once.after == (
        "def f(a):\n    x = g(a)  #: [B, 3] float32\n    return x  #: [B, 3] float32\n"
    )
    twice = annotated(once.after, lines=lines)
    assert twice.after == once.after
    assert [one.state for one in twice.findings] == [CommentState.TRUE, CommentState.TRUE]


def test_a_comment_that_is_no_longer_true_is_found_with_both_texts() -> None:
    text = "def f(a):\n    x = g(a)  # why  #: [B, 3] float32\n    return x\n"
    found = annotated(text, lines=[line([f32(4, 5)], [f32(24, 5)], [f32(4, 5)], first=2)])
    (finding,) = found.findings
    assert (finding.state, finding.line, finding.function) == (CommentState.STALE, 2, "f")
    assert (finding.old, finding.text) == ("[B, 3] float32", "[B, 5] float32")
    assert found.after == text.replace("[B, 3]", "[B, 5]")


def test_a_comment_on_a_line_that_has_no_tensor_any_more_goes() -> None:
    text = "def f(a):\n    x = g(a)  #: [B, 3] float32\n"
    found = annotated(text, lines=[line([], [], [], first=2)])
    assert found.findings[0].state is CommentState.STALE
    assert found.after == "def f(a):\n    x = g(a)\n"


def test_a_line_that_did_not_run_keeps_what_it_says() -> None:
    text = "def f(a):\n    x = g(a)  #: [B, 3] float32\n"
    found = annotated(text, lines=[])
    assert found.findings[0].state is CommentState.UNVERIFIED
    assert found.after == text


def test_only_what_is_asked_for_gets_comments() -> None:
    text = textwrap.dedent("""
        class Net:
            def forward(self, a):
                x = self.help(a)
                return x

            def help(self, a):
                return a
    """)
    lines = [one for one in every(text) if one.first in {4, 5, 8}]

    def functions(scope):
        found = annotated(text, lines=lines, scope=scope)
        return [one.function for one in found.findings]

    assert functions(Scope(functions=("forward",))) == ["Net.forward"] * 2
    assert functions(Scope(functions=("Net.help",))) == ["Net.help"]
    assert functions(Scope(functions=("Net",))) == ["Net.forward", "Net.forward", "Net.help"]
    assert functions(Scope(functions=("h*",))) == ["Net.help"]
    assert functions(Scope(paths=("*.py",))) == functions(Scope())
    traced = Traced(batches=BATCHES, lines=tuple(lines))
    assert not review({"net.py": text}, traced, Scope(paths=("other/*",)), length_max=100)
    assert not review({"net.py": text}, traced, Scope(adds=False), length_max=100)


def test_what_no_batch_flows_through_is_left_alone_unless_asked_for() -> None:
    text = "def load():\n    x = read()\n"
    lines = (line(before=[f32(9, 9)], first=2, is_flow=False),)
    traced = Traced(batches=BATCHES, lines=lines)
    assert not review({"net.py": text}, traced, Scope(), length_max=100)
    assert review({"net.py": text}, traced, Scope(functions=("load",)), length_max=100)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 'gr\udcf6ber'\n", "not UTF-8"),
        ("def f(:\n", "does not parse"),
        ("x = 1\ry = 2\n", "lone CR"),
    ],
)
def test_a_file_that_cannot_be_read_safely_is_left_alone(text, why) -> None:
    found = annotated(text)
    assert why in found.trouble
    assert found.after == text
    assert stripped(text + "#: ") == text + "#: "


def test_strip_takes_comments_of_one_function_alone() -> None:
    text = (
        "def f(a):\n    return a  #: [B, 3] float32\n\n\n"
        "def g(a):\n    #: [B, 3] float32\n    return a\n"
    )
    (found,) = strip({"net.py": text}, Scope(functions=("g",)))
    assert found.after == text.replace("    #: [B, 3] float32\n", "")
    assert strip({"net.py": text}, Scope(paths=("x.py",))) == []


def test_a_comment_that_a_formatter_has_moved_away_from_its_line_is_still_ours() -> None:
    text = "def f(a):\n    #: [B, 3] float32\n\n    # by hand\n    return a\n\n#: [B, 4] float32\n"
    assert stripped(text) == "def f(a):\n\n    # by hand\n    return a\n\n"


@pytest.mark.parametrize(
    ("files", "length"),
    [
        ({}, 100),
        ({"pyproject.toml": "[tool.ruff]\nline-length = 120\n"}, 120),
        ({"pyproject.toml": "[tool.black]\nline-length = 79\n"}, 79),
        ({"pyproject.toml": "[tool.black]\n"}, 88),
        ({"pyproject.toml": "[tool.ruff]\n", "setup.cfg": "[flake8]\nmax-line-length = 90\n"}, 90),
        ({"pyproject.toml": "[project]\nname = 'x'\n", ".flake8": "[flake8]\nmax-line-length=110"}, 110),
        ({"ruff.toml": "line-length = 95"}, 95),
        ({"pyproject.toml": "[tool", "setup.cfg": "nothing", "tox.ini": "[flake8]\nmax-line-length=x"}, 100),
    ],
)  # fmt: skip
def test_lines_are_as_long_as_the_project_says(files, length) -> None:
    assert line_length(files) == length
