from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.config import parse_config, read_config
from branchlab.domain import FlagStyle, Goal, Sample, Script
from branchlab.errors import ConfigError

WHOLE = """\
[branches]
main = "trunk"
reference = "original"
reference_commit = "1f3c000000000000000000000000000000000000"
experiments = ["exp/*", "try-?"]

[trainer]
task = "fashion.task:FashionTask"
arguments = { width = 8, is_wide = true, scale = 0.5, name = "x" }

[run]
metric = "val/iou"
goal = "min"
seeds = 5
min_effect = 0
share = ["data", "big/weights.pt"]
device = "cuda:1"
jobs = 2
deterministic = false
timeout_s = 60

[sample]
fraction = 1
strategy = "random"
seed = 3

[baseline]
metric = "test/accuracy"
published = 0.925
tolerance = 0.005
source = "where the figure stands"

[executor]
kind = "slurm"

[executor.slurm]
partition = "main"
gpus = 1
memory_gib = 16
time_s = 3600
extra = { constraint = "a100", exclusive = true }
jobs = 0
"""


def error_of(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    return caught.value


def test_every_key_has_a_meaning() -> None:
    config = parse_config(WHOLE)
    assert (config.branches.main, config.branches.experiments) == ("trunk", ("exp/*", "try-?"))
    assert config.trainer.arguments == {"width": 8, "is_wide": True, "scale": 0.5, "name": "x"}
    assert config.run.goal is Goal.MIN
    assert (config.run.seeds, config.run.jobs, config.run.deterministic) == (5, 2, False)
    assert config.run.share == ("data", "big/weights.pt")
    assert config.sample.sample() == Sample(fraction=1.0, strategy="random", seed=3)
    slurm = config.executor.slurm
    assert (config.executor.kind, slurm.partition, slurm.gpus, slurm.cpus) == (
        "slurm",
        "main",
        1,
        1,
    )
    assert (slurm.memory_gib, slurm.extra["constraint"], slurm.jobs) == (16.0, "a100", 0)
    assert (config.baseline.published, config.baseline.source) == (0.925, "where the figure stands")


def test_an_empty_file_is_all_defaults() -> None:
    config = parse_config("")
    assert (config.branches.main, config.branches.reference) == ("main", "original")
    assert (config.run.metric, config.run.goal, config.run.seeds) == ("val/accuracy", Goal.MAX, 3)


def test_whole_numbers_serve_where_a_fraction_is_expected() -> None:
    timeout_s = parse_config("[run]\ntimeout_s = 60\n").run.timeout_s
    assert isinstance(timeout_s, float)


@pytest.mark.parametrize(
    ("text", "place", "named"),
    [
        ("[run]\n\nmetrics = 'x'\n", ":3:", "did you mean 'metric'?"),
        ("[branches]\n[runs]\n", ":2:", "did you mean 'run'?"),
        ("[run]\ngoal = 'max'\n[sample]\nfration = 0.1\n", ":4:", "did you mean 'fraction'?"),
        ("run.seed = 3\n", ":1:", "did you mean 'seeds'?"),
        ("[executor.slurm]\npartitoin = 'x'\n", ":2:", "did you mean 'partition'?"),
        ("[executor]\nslrum = { gpus = 1 }\n", ":2:", "did you mean 'slurm'?"),
        ("# a\nrun = { 'seed' = 3 }\n", ":2:", "did you mean 'seeds'?"),
    ],
)
def test_an_unknown_name_is_said_with_its_line_and_the_nearest_known_one(
    text: str, place: str, named: str
) -> None:
    error = error_of(text)
    assert f".branchlab.toml{place}" in error.message
    assert named in error.hint


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[run]\nseeds = '3'\n", 2, "expected a whole number"),
        ("[run]\nseeds = true\n", 2, "expected a whole number"),
        ("[run]\nseeds = 1.5\n", 2, "expected a whole number"),
        ("[run]\nseeds = 0\n", 2, "at least 1"),
        ("[run]\nseeds = 100000\n", 2, "at most 1000"),
        ("[run]\nseeds = 99999999999999999999\n", 2, "expected a whole number"),
        ("[run]\ndeterministic = 1\n", 2, "expected true or false"),
        ("[run]\ngoal = 'maximum'\n", 2, 'expected "max" or "min"'),
        ("[run]\nshare = 'data'\n", 2, "expected a list of strings"),
        ("[run]\nshare = ['data', 3]\n", 2, "expected a list of strings"),
        ("[run]\nmetric = 3\n", 2, "expected a string"),
        ("[run]\nmetric = 2026-01-01\n", 2, "expected a string"),
        ("[run]\nmin_effect = nan\n", 2, "0 or more"),
        ("[run]\nmin_effect = -0.1\n", 2, "0 or more"),
        ("[run]\ntimeout_s = nan\n", 2, "more than 0"),
        ("[run]\ntimeout_s = 0\n", 2, "more than 0"),
        (f"[run]\ntimeout_s = 1{'0' * 400}\n", 2, "expected a number"),
        (f"[run]\nmetric = 0x{'F' * 6000}\n", 2, "too large to be shown"),
        ("[run]\njobs = -1\n", 2, "0 (as many as serve) or more"),
        ("[run]\ndevice = 'gpu'\n", 2, "cuda:N"),
        ("[sample]\nfraction = 0\n", 2, "0 < fraction <= 1"),
        ("[env]\nmanager = 'conda'\n", 2, "is not one of 'none', 'uv'"),
        ("[env]\npython = 'newest'\n", 2, "is a version"),
        ("[env]\nfiles = ['../requirements.txt']\n", 2, "not a path inside the repository"),
        ("[sample]\nfraction = nan\n", 2, "0 < fraction <= 1"),
        ("[baseline]\ntolerance = -0.1\n", 2, "0 or more"),
        ("[baseline]\npublished = nan\n", 2, "is a number"),
        ("[baseline]\ntask = 'net'\n", 2, "module:Class"),
        ("[baseline]\nseeds = 0\n", 2, "at least 1"),
        (
            "[trainer]\ncommand = ['python']\n[baseline]\narguments = { x = 1 }\n",
            4,
            "those of a task",
        ),
        ("[promote]\nrungs = []\n", 2, "grow from above 0 to 1"),
        ("[promote]\nrungs = [0.3, 0.1, 1]\n", 2, "grow from above 0 to 1"),
        ("[promote]\nrungs = [0.1, 0.5]\n", 2, "grow from above 0 to 1"),
        ("[promote]\nrungs = ['a']\n", 2, "expected a list of numbers"),
        ("[promote]\neta = 1\n", 2, "2 or more"),
        ("[sample]\nstrategy = 'hardest'\n", 2, "stratified"),
        ("[trainer]\ntask = 'fashion.task'\n", 2, "module:Class"),
        ("[trainer.arguments]\nx = [1]\n", 1, "a table of strings, numbers and booleans"),
        (f"[trainer]\narguments = {{ x = 0x{'F' * 40} }}\n", 2, "a table of strings"),
        ("[branches]\nreference_commit = 'abc'\n", 2, "full commit id"),
        ("[executor]\nkind = 'kubernetes'\n", 2, "not one of 'local', 'slurm', 'ray'"),
        ("[executor]\nslurm = 3\n", 2, "[executor.slurm] must be a table"),
        ("[executor]\n[executor.slurm]\ngpus = -1\n", 3, "0 or more"),
        ("[executor.slurm]\ncpus = 0\n", 2, "1 or more"),
        ("[executor.slurm]\nmemory_gib = 0\n", 2, "more than 0"),
        ("[executor.slurm]\nmemory_gib = '16G'\n", 2, "expected a number"),
        ("[executor.slurm]\ntime_s = 30\n", 2, "at least 60"),
        ("executor.slurm.jobs = -1\n", 1, "0 (no limit) or more"),
        ("[executor.slurm]\nextra = { array = '0-9' }\n", 2, "may not set array"),
        ("run = 3\n", 1, "must be a table"),
        ("[[run]]\nseeds = 3\n", 1, "must be a table"),
        ("# a\x85b\n[run]\nseeds = '3'\n", 3, "expected a whole number"),
    ],
)
def test_a_wrong_value_is_said_with_file_line_and_what_is_needed(
    text: str, line: int, said: str
) -> None:
    error = error_of(text)
    assert error.message.startswith(f".branchlab.toml:{line}: ")
    assert said in error.message


@pytest.mark.parametrize(
    ("text", "said", "nearest"),
    [
        ("[track]\nto = ['mlflow', 'tensorbord']\n", "to: 'tensorbord' is not one of", "tensorboard"),
        ("[executor]\nkind = 'slrum'\n", "kind: 'slrum' is not one of", "slurm"),
        ("[sample]\nstrategy = 'strat'\n", "strategy: 'strat' is not one of", "stratified"),
        ("[env]\nmanager = 'uvv'\n", "manager: 'uvv' is not one of", "uv"),
    ],
)  # fmt: skip
def test_a_word_that_is_none_of_those_known_is_said_with_the_nearest(text, said, nearest) -> None:
    error = error_of(text)
    assert error.message.startswith(f".branchlab.toml:2: {said}")
    assert f"did you mean '{nearest}'? mend .branchlab.toml at line 2" in error.hint


@pytest.mark.parametrize(
    "path", ["/etc", "../data", "data/../../x", "", ".", ".git", ".git/hooks", "./.git"]
)
def test_a_shared_path_outside_of_the_repository_is_refused(path: str) -> None:
    assert "not a path inside the repository" in error_of(f"[run]\nshare = ['{path}']\n").message


@pytest.mark.parametrize(
    ("text", "place"),
    [("[run]\nseeds == 3\n", ":2:8"), ("[run\n", ":1:5"), ("a = 1\na = 2\n", ":2:")],
)
def test_malformed_toml_is_said_with_line_and_column(text: str, place: str) -> None:
    error = error_of(text)
    assert f".branchlab.toml{place}" in error.message
    assert "not TOML" in error.message


@pytest.mark.parametrize(
    "text",
    [
        "[run]\nmetric = " + "[" * 300 + "]" * 300,
        "[run]\nmetric = " + "[" * 100_000,
        "a." * 900 + "b = 1",
        "a." * 9000 + "b = 1",
        "[" + "a." * 900 + "b]",
        "run = " + "{ a = " * 300 + "1" + " }" * 300,
        f"[run]\nmetric = {'9' * 5000}\n",
    ],
    ids=["arrays", "open", "keys", "too-many-keys", "tables", "inline", "digits"],
)
def test_nesting_and_numbers_without_end_are_config_errors(text: str) -> None:
    error_of(text)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path)
    assert "branchlab init" in caught.value.hint


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / ".branchlab.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="1000001 bytes"):
        read_config(tmp_path)


def test_a_file_that_is_not_utf8_is_said_with_its_line(tmp_path: Path) -> None:
    (tmp_path / ".branchlab.toml").write_bytes(b"[run]\n# \xff\n")
    with pytest.raises(ConfigError, match=r":2: not UTF-8"):
        read_config(tmp_path)


def test_a_folder_in_the_place_of_the_file_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / ".branchlab.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path)


PIECES = st.sampled_from(
    [
        "[",
        "]",
        "=",
        "\n",
        '"',
        "'",
        "{",
        "}",
        "\\",
        "#",
        ".",
        ",",
        "nan",
        "-inf",
        "0x" + "F" * 50,
        "[run]",
        "true",
        "é",
        "\x00",
        "\u2028",
        "1e999",
        "9" * 30,
        "2026-01-01",
        "a.b.c = 1\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES | st.text(max_size=8)), max_size=4
    )
)
def test_no_mutation_of_a_config_is_anything_but_a_config_error(
    edits: list[tuple[float, int, str]],
) -> None:
    text = WHOLE
    for where, num_cut, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + num_cut :]
    try:
        parse_config(text)
    except ConfigError as error:
        refused = error
    else:
        return
    assert refused.message.startswith(".branchlab.toml")
    assert refused.hint


SCRIPT = """
[trainer]
command = ["python", "train.py", "--seed", "{seed}", "{flags}"]
"""


def test_a_command_trains_instead_of_a_task() -> None:
    trainer = parse_config(
        SCRIPT
        + 'trainer_from = "main"\nresume = ["--resume", "{checkpoint}"]\ncheckpoint = "*.pt"\n'
    ).trainer
    assert trainer.command[-1] == "{flags}"
    assert (trainer.trainer_from, trainer.resume[1]) == ("main", "{checkpoint}")


@pytest.mark.parametrize(
    ("line", "named", "hint"),
    [
        ('task = "a.b:C"', "task and command are both set", "keep task"),
        ("arguments = { a = 1 }", "arguments are those of a task", "words of command"),
        ('trainer_from = "mian"', "'mian' is not one of 'branch', 'main'", "did you mean 'main'?"),
        ('trainer_from = "x"', "'x' is not one of 'branch', 'main'", "mend .branchlab.toml"),
        ('flag_style = "-name value"', "flag_style", "did you mean '--name value'?"),
        ('resume = ["--resume", "{checkpoint}"]', "checkpoint is missing", "for instance"),
        ('resume = ["{check}"]\ncheckpoint = "*"', "unknown placeholder {check}", "did you mean 'checkpoint'?"),
        ('checkpoint = "../*.pt"', "pattern of files below {run_dir}", ""),
        ("pattern = '('", "pattern is no regular expression", ""),
        ("pattern = 'loss (\\\\d+)'", "pattern names no metric", "name a group"),
        ("pattern = '(?P<step>.)'", "pattern names no metric", "name a group"),
        ("pattern = '(?P<name>.)'", "pattern names no metric", "name a group"),
    ],
)  # fmt: skip
def test_a_wrong_key_of_a_script_is_named_with_its_line(line, named, hint) -> None:
    error = error_of(f"{SCRIPT}{line}\n")
    assert named in error.message
    assert error.message.startswith(".branchlab.toml:")
    assert hint in error.hint


@pytest.mark.parametrize(
    ("words", "named", "hint"),
    [
        ('["python", "t.py", "{sed}"]', "unknown placeholder {sed}", "did you mean 'seed'?"),
        ('["python", "t.py", "--x={flags}"]', "{flags} stands for several words", ""),
        ('["python", ""]', "empty word", ""),
        ('["python", "{checkpoint}"]', "unknown placeholder {checkpoint}", "known here: {device}"),
    ],
)
def test_a_wrong_word_of_a_command_is_named(words, named, hint) -> None:
    error = error_of(f"[trainer]\ncommand = {words}\n")
    assert named in error.message
    assert hint in error.hint


def test_keys_of_a_script_need_a_command() -> None:
    error = error_of("[trainer]\ntrainer_from = 'main'\n")
    assert "trainer_from belongs to command, which is not set" in error.message


def words(command: str, style: str = "--name value", **values: str) -> list[str]:
    script = Script(command=tuple(command.split()), flag_style=FlagStyle(style))
    flags = {"wide": True, "old": False, "lr": 0.1, "model.size": "s", "shift": "-1"}
    return script.words(values, flags)


def test_a_placeholder_without_a_value_takes_its_option_away() -> None:
    command = "python train.py --epochs {epochs} --budget={budget} fast --seed {seed}"
    assert words(command, seed="3") == ["python", "train.py", "fast", "--seed", "3"]
    assert words("t {epochs} --seed={seed}", seed="3") == ["t", "--seed=3"]


def test_braces_that_are_meant_as_such_stay() -> None:
    assert words('t {{seed}} {"a":1} ${oc.env:X} {}', seed="3") == [
        "t",
        "{seed}",
        '{"a":1}',
        "${oc.env:X}",
        "{}",
    ]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("--name value", "--wide --no-old --lr 0.1 --model.size s --shift=-1"),
        ("--name=value", "--wide=True --old=False --lr=0.1 --model.size=s --shift=-1"),
        ("name=value", "wide=True old=False lr=0.1 model.size=s shift=-1"),
    ],
)
def test_flags_are_written_as_a_script_takes_them(style, expected) -> None:
    assert words("{flags}", style) == expected.split()
