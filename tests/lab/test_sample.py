from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

import pytest

from branchlab.config import parse_config
from branchlab.domain import Noted, RunRecord, Sample, Strata
from branchlab.errors import BranchlabError, ConfigError, StoreError
from branchlab.lab.calibrate import CalibrationRequest, apply_calibration, calibrate
from branchlab.lab.judge import compare
from branchlab.lab.recordings import Recorder, commit_side
from branchlab.lab.run_request import RunRequest
from branchlab.lab.sample import SampleReport, draw_sample
from branchlab.lab.samples import manifest_path
from branchlab.lab.status import status
from branchlab.run_folder import read_events

OTHER_DATA = "torch.Generator().manual_seed(0)", "torch.Generator().manual_seed(1)"
OWN = """
def first(*, targets, groups, fraction, seed):
    return list(range(round(fraction * len(targets))))
"""
LAST = OWN.replace("list(range(", "list(range(20, 20 + ")
FAULTS = {
    "no ids": ("return 'abc'", "needs ids"),
    "numbers that are no ids": ("return [0.5, 1.5]", "needs whole numbers"),
    "nothing": ("return []", "at least one"),
    "ids beyond the end": ("return [0, 32]", "ids from 0 to 32: the training set has 32 examples"),
    "ids twice": ("return [1, 1, 2]", "returned 1 ids more than once"),
    "an error": ("raise RuntimeError('no disk')", "RuntimeError: no disk (tiny/draw.py:3)"),
}


def _slow(values: Iterable[object]) -> list[object]:
    """Leave the further cases of a test, which train or draw each, to the whole suite."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in sorted(values)]  # type: ignore[type-var]


def draw(repo, **more: object) -> SampleReport:
    return draw_sample(repo.open(), executor=repo.executor, **more)


def configure(repo, **keys: object) -> None:
    """Add keys to [sample] of the config, which stands in the main work tree."""
    path = repo.root / ".branchlab.toml"
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in keys.items())
    path.write_text(path.read_text() + lines)


def with_task(repo, old: str, new: str) -> dict[str, str]:
    text = (repo.root / "tiny/task.py").read_text()
    assert old in text
    return {"tiny/task.py": text.replace(old, new)}


def warnings_of(repo, record: RunRecord) -> list[str]:
    attempt = repo.open().state.run(record.run.id).latest()
    assert attempt is not None
    return [e["text"] for e in read_events(attempt.events).events if e["kind"] == "warning"]


def test_a_sample_is_drawn_once_and_its_runs_train_on_it(repo) -> None:
    before = repo.fingerprint()
    found = draw(repo)
    drawn = found.manifest.drawn
    assert (drawn.num, drawn.of, found.manifest.strata) == (16, 32, Strata.CLASSES)
    assert found.is_new
    assert found.picture is not None
    assert found.picture.read_bytes().startswith(b"\x89PNG")
    assert {check.name for check in found.manifest.checks} >= {"labels", "features", "leakage"}
    again = draw(repo)
    assert not again.is_new
    assert again.manifest == found.manifest
    repo.run(names=["main"], seeds=1)
    (record,) = repo.records().values()
    assert record.data == drawn.data
    assert not warnings_of(repo, record)
    assert repo.fingerprint() == before


def test_features_come_from_mains_trained_model_where_there_is_one(repo) -> None:
    repo.run(names=["main"], seeds=1)
    found = draw(repo)
    features = next(check for check in found.manifest.checks if check.name == "features")
    assert features.figures["features"] == "1"  # the linear layer
    assert "the layer '1' of main's trained model" in features.sentence


def test_drawing_a_sample_leaves_the_keys_of_runs_what_they_were(repo) -> None:
    repo.run(names=["main"], seeds=1)
    draw(repo)
    prepared, _ = repo.run(names=["main"], seeds=1)
    assert not prepared.plan.to_start


def test_another_fraction_has_a_manifest_of_its_own(repo) -> None:
    half, quarter = draw(repo), draw(repo, fraction=0.25)
    assert quarter.path != half.path
    assert set(quarter.manifest.drawn.ids) < set(half.manifest.drawn.ids)
    with pytest.raises(ConfigError, match=r"--fraction 1\.5: needs 0 < fraction <= 1"):
        draw(repo, fraction=1.5)


def test_a_main_that_has_moved_is_said_and_its_sample_drawn_again_on_demand(repo) -> None:
    first = draw(repo)
    repo.commit(with_task(repo, *OTHER_DATA))
    kept = draw(repo)
    assert kept.manifest == first.manifest
    assert "main has moved since" in kept.notes[-1]
    anew = draw(repo, is_anew=True)
    assert anew.manifest.drawn.digest != first.manifest.drawn.digest
    assert not anew.notes


@pytest.mark.parametrize("damage", [b"", *_slow([b"{}", b'{"version": 99}', b"half"])])
def test_a_damaged_manifest_is_said_with_the_command_that_mends_it(repo, damage: bytes) -> None:
    found = draw(repo)
    found.path.write_bytes(damage or found.path.read_bytes()[:-40])
    with pytest.raises(StoreError, match="manifest") as said:
        draw(repo)
    assert "branchlab sample --anew" in said.value.hint
    assert draw(repo, is_anew=True).manifest.drawn == found.manifest.drawn


def test_a_manifest_that_lacks_ids_is_damaged(repo) -> None:
    path = draw(repo).path
    document = json.loads(path.read_bytes())
    document["drawn"]["ids"].pop()
    path.write_text(json.dumps(document))
    with pytest.raises(StoreError, match="speaks of 16 ids and holds 15"):
        draw(repo)


def test_a_branch_with_other_data_is_warned_of_and_its_verdict_says_so(repo) -> None:
    repo.branch("exp/data", with_task(repo, *OTHER_DATA))
    repo.branch("exp/same", {"notes.txt": "nothing\n"})
    draw(repo)
    repo.run(is_all=True, seeds=2)
    of_data = [r for r in repo.records().values() if r.run.branch == "exp/data"]
    assert all("trains on another sample" in warnings_of(repo, r)[0] for r in of_data)
    project = repo.open()
    found = compare(project)
    assert found.samples == {"exp/data": "trained on other examples than main, in 2 of 2 pairs"}
    shown = {branch.standing.branch.name: branch.notes for branch in status(project).branches}
    assert "another sample" in shown["exp/data"]
    assert "another sample" not in shown["exp/same"]


def test_a_task_that_cannot_give_its_data_is_said_in_one_line(repo) -> None:
    repo.commit(
        with_task(repo, "def data(self):", "def data(self):\n        raise OSError('gone')")
    )
    with pytest.raises(BranchlabError, match=r"could not draw the sample: OSError: gone"):
        draw(repo)
    assert not list(repo.open().state.samples.glob("*"))


def test_an_own_strategy_draws_on_main_for_all_branches(repo) -> None:
    repo.commit({"tiny/draw.py": OWN})
    repo.branch("exp/cheat", {"tiny/draw.py": LAST})
    configure(repo, strategy="tiny.draw:first")
    with pytest.raises(ConfigError, match="has not drawn") as said:
        repo.session(names=["cheat"]).prepare()
    assert said.value.hint == "branchlab sample"
    found = draw(repo)
    assert found.manifest.drawn.ids == tuple(range(16))
    repo.run(names=["cheat"], seeds=1)
    records = repo.records().values()
    assert {record.run.branch for record in records} == {"main", "exp/cheat"}
    assert {record.data for record in records} == {found.manifest.drawn.data}
    assert {record.run.sample.manifest for record in records} == {found.manifest.drawn.digest}


DATA = """    def data(self):
        source = torch.Generator().manual_seed(0)
        examples = branchlab.Examples
        {}
        return branchlab.Splits(train=train, val=train{})

    def model(self):"""
KINDS = {
    "labels": ("train = examples(torch.rand(40, 3, 9, 9), (torch.rand(40, 3) < 0.3).long())", ""),
    "masks": ("train = examples(torch.rand(40, 3, 9, 9), torch.randint(0, 3, (40, 9, 9)))", ""),
    "groups": (
        "train = examples(torch.rand(40, 9, 9), torch.arange(40) % 2)",
        ", groups=[n // 4 for n in range(40)]",
    ),
    "boxes": (
        "train = examples([torch.rand(3, 8 + n % 3, 9) for n in range(40)], [{'boxes': torch.rand(n % 3, 4)} for n in range(40)])",
        "",
    ),
    "vectors": ("train = examples(torch.rand(40, 7), torch.rand(40))", ""),
    "stream": (
        "train = torch.utils.data.TensorDataset(torch.rand(40, 1, 8, 8), torch.arange(40) % 2)",
        ", stream=True",
    ),
}


@pytest.mark.parametrize(
    "kind", ["masks", "stream", *_slow(["labels", "groups", "boxes", "vectors"])]
)
def test_data_of_any_kind_is_drawn_and_looked_at(repo, kind: str) -> None:
    text = (repo.root / "tiny/task.py").read_text()
    start, end = text.index("    def data(self)"), text.index("    def model(self):")
    changed = text[:start] + DATA.format(*KINDS[kind]) + text[end + len("    def model(self):") :]
    repo.commit({"tiny/task.py": changed})
    found = draw(repo)
    manifest = found.manifest
    checks = {check.name: check for check in manifest.checks}
    assert (manifest.drawn.num, manifest.drawn.of) == (20, 40)
    strata = {"labels": "labels", "masks": "masks", "groups": "classes"}.get(kind, "none")
    assert manifest.strata == strata
    assert (checks["labels"].is_ok is None) == (strata == "none")
    assert ("groups" in checks) == (kind == "groups")
    assert ("pixels" in checks) == (kind == "masks")
    assert (found.picture is None) == (kind == "vectors")
    assert (checks["features"].is_ok is None) == (kind == "vectors")
    if kind != "vectors":  # train stands in for val: everything leaks
        assert checks["leakage"].is_ok is False
        assert checks["leakage"].figures["exact_val"] == 40
    assert ("drawn at random" in " ".join(found.notes)) == (strata == "none")


def test_recordings_train_on_the_ids_of_an_own_strategy(repo) -> None:
    repo.commit({"tiny/draw.py": OWN})
    configure(repo, strategy="tiny.draw:first")
    draw(repo)
    project = repo.open()
    recorder = Recorder(project, steps=2, executor=repo.executor)
    side = commit_side(project, "main", project.repository.tip_of("main"))
    recording = recorder.record([side])["main"]
    recorder.close()
    assert not recording.failure
    ids = [n.value[1] for n in recording.named(Noted.DATA, 0) if n.name == "train ids"]
    assert ids == [[16]]


@pytest.mark.parametrize("fault", ["an error", *_slow(FAULTS.keys() - {"an error"})])
def test_an_own_strategy_that_draws_no_sample_is_refused(repo, fault: str) -> None:
    body, said = FAULTS[fault]
    repo.commit({"tiny/draw.py": f"\ndef first(*, targets, groups, fraction, seed):\n    {body}\n"})
    configure(repo, strategy="tiny.draw:first")
    with pytest.raises(BranchlabError) as error:
        draw(repo)
    assert said in error.value.message


def test_epochs_of_the_sample_are_those_of_runs_on_it_alone(repo) -> None:
    configure(repo, epochs=3)
    on_sample = repo.session(names=["main"]).prepare().plan.runs[0].run
    on_all = repo.session(names=["main"], is_full=True).prepare().plan.runs[0].run
    asked = repo.session(names=["main"], epochs=1).prepare().plan.runs[0].run
    assert [run.epochs for run in (on_sample, on_all, asked)] == [3, None, 1]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("class_min = 0", "class_min needs 1 or more"),
        ("epochs = 0", "epochs needs 1 or more"),
        ('strategy = "stratfied"', "did you mean .stratified"),
    ],
)
def test_a_sample_that_means_nothing_is_refused(keys: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_config(f"[sample]\n{keys}\n")
    assert said.split(" .", maxsplit=1)[0] in f"{error.value.message} {error.value.hint}"


def test_every_thing_that_decides_a_draw_has_another_manifest(repo) -> None:
    project = repo.open()
    samples = [
        Sample(fraction=0.1),
        Sample(fraction=0.2),
        Sample(fraction=0.1, seed=1),
        Sample(fraction=0.1, class_min=3),
        Sample(fraction=0.1, strategy="random"),
    ]
    assert len({manifest_path(project, one) for one in samples}) == len(samples)


@pytest.fixture
def carry(repo) -> Callable[[RunRequest], Sequence[RunRecord]]:
    def carried(request: RunRequest) -> Sequence[RunRecord]:
        asked = {name: getattr(request, name) for name in ("names", "seeds", "fraction", "epochs")}
        _, last = repo.run(**asked)
        return list(last.records.values())

    return carried


def test_a_calibration_runs_known_variants_at_every_fraction(repo, carry) -> None:
    repo.branch("exp/slow", with_task(repo, "lr=0.02", "lr=0.0001"))
    repo.branch("exp/fast", with_task(repo, "lr=0.02", "lr=1.0"))
    asked = CalibrationRequest(names=["slow", "fast"], fractions=(0.5, 0.25))
    found = calibrate(repo.open(), asked, carry=carry, executor=repo.executor)
    rungs = [one.rung for one in found.judgements]
    assert found.branches == ("main", "exp/slow", "exp/fast")
    assert [rung.fraction for rung in rungs] == [0.25, 0.5]
    # The recipe takes 2 epochs of 4 steps on the full set: a quarter of it has one step an epoch.
    assert [(rung.epochs, rung.steps, rung.full_steps) for rung in rungs] == [(4, 4, 8), (2, 4, 8)]
    assert all(set(rung.values) == set(found.branches) for rung in rungs)
    assert found.sentence
    assert "to see your own again: branchlab run --seeds 3" in found.notes[-1]
    repo.run(names=["slow", "fast"], seeds=2, fraction=0.5)
    before = len(repo.records())
    again = calibrate(repo.open(), asked, carry=carry, executor=repo.executor)
    assert len(repo.records()) == before
    assert again.sentence == found.sentence


def test_a_variant_of_a_calibration_is_what_trains_otherwise_than_main(repo, carry) -> None:
    description = 'title = "x"\nbase = "main"\n'
    repo.branch("exp/one", {"notes.txt": "one\n"})
    repo.branch("exp/twin", {"experiments/twin.toml": description})
    with pytest.raises(ConfigError, match="needs 2 experiments that train differently"):
        calibrate(repo.open(), CalibrationRequest(names=["one", "twin"]), carry=carry)
    for flag in ("squeeze = true", "pause = 0.001"):
        name = flag.partition(" ")[0]
        text = f"{description}flags = {{ {flag} }}\n"
        repo.branch(f"exp/{name}", {f"experiments/{name}.toml": text})
    asked = CalibrationRequest(names=["squeeze", "pause"], fractions=(0.5,))
    found = calibrate(repo.open(), asked, carry=carry, executor=repo.executor)
    assert found.branches == ("main", "exp/squeeze", "exp/pause")


def test_a_calibration_without_variants_names_what_it_needs(repo, carry) -> None:
    repo.branch("exp/one", {"notes.txt": "one\n"})
    for names in ([], ["one"], ["main", "one"]):
        with pytest.raises(ConfigError, match="needs 2 experiments that train differently"):
            calibrate(repo.open(), CalibrationRequest(names=names), carry=carry)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"fractions": ()}, "--fractions names none"),
        ({"fractions": (0.0,)}, "--fractions 0: needs"),
        ({"seeds": 1}, "--seeds 1: needs 2 or more"),
        ({"minutes": 0.0}, "--minutes 0: needs more than 0"),
    ],
)
def test_a_calibration_that_means_nothing_is_refused(repo, carry, asked, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        calibrate(repo.open(), CalibrationRequest(**asked), carry=carry)


def test_what_a_calibration_writes_is_fraction_and_epochs_and_nothing_else(repo, carry) -> None:
    from dataclasses import replace

    repo.branch("exp/slow", with_task(repo, "lr=0.02", "lr=0.0001"))
    repo.branch("exp/fast", with_task(repo, "lr=0.02", "lr=1.0"))
    asked = CalibrationRequest(names=["slow", "fast"], fractions=(0.25,))
    found = calibrate(repo.open(), asked, carry=carry, executor=repo.executor)
    path = repo.root / ".branchlab.toml"
    before = path.read_text()
    with pytest.raises(ConfigError, match="no fraction serves"):
        apply_calibration(repo.open(), replace(found, best=None))
    assert path.read_text() == before
    apply_calibration(repo.open(), replace(found, best=found.judgements[0], epochs=4))
    assert path.read_text() == before.replace("fraction = 0.5", "fraction = 0.25\nepochs = 4")
    apply_calibration(repo.open(), replace(found, best=found.judgements[0], epochs=None))
    assert path.read_text() == before.replace("fraction = 0.5", "fraction = 0.25")
