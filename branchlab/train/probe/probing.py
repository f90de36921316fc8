"""One probe: a training brought to the step that is asked for, that step watched, and the questions that need another pass."""

from __future__ import annotations

import contextlib
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from branchlab.domain import Drawn, Probe, Run
from branchlab.errors import ConfigError
from branchlab.run_folder import AskedProbe
from branchlab.train import randomness
from branchlab.train.checkpoint import load_tensors, save_tensors
from branchlab.train.loading import load_task, say_why
from branchlab.train.parts import tensors_in
from branchlab.train.pictures import save_picture
from branchlab.train.probe.calls import Listening
from branchlab.train.probe.checks import called_in_eval, check_all, sharing_memory
from branchlab.train.probe.matching import take_over
from branchlab.train.probe.observing import Observer
from branchlab.train.sheets import maps_of_features, sheet
from branchlab.train.task import Batch, Task
from branchlab.train.trainer import epoch_steps
from branchlab.train.training import Training, autocast, begin, in_layout
from branchlab.train.witness import Witness

_FAILURE_LENGTH_MAX = 600


def probe(
    run: Run, asked: AskedProbe, worktree: Path, pictures: Path, *, drawn: Drawn | None = None
) -> Probe:
    """Probe a run as it is asked for; what the project's code raises is part of the answer."""
    witness = Witness(worktree, torch.device(run.device))
    probing = _Probing(run, asked, worktree, pictures, witness)
    probing.drawn = drawn
    failure = ""
    # What is compiled cannot be seen, and would be compiled anew for every question.
    is_eager = torch.compiler.set_stance("force_eager")
    with warnings.catch_warnings(), witness.present(), is_eager:
        warnings.simplefilter("ignore")
        try:
            probing.carry_out()
        except ConfigError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  the project's own code: that it raises is the finding
            failure = say_why(error, worktree)[:_FAILURE_LENGTH_MAX]
            traceback.print_exc()
        return probing.found(failure)


class _Probing:
    """What is known so far, so that a failure on the way leaves it."""

    def __init__(
        self, run: Run, asked: AskedProbe, worktree: Path, pictures: Path, witness: Witness
    ) -> None:
        self._run, self._asked, self._worktree = run, asked, worktree
        self._pictures, self._witness = pictures, witness
        self.drawn: Drawn | None = None
        self._training: Training | None = None
        self._observer: Observer | None = None
        self._listening = Listening(witness.place)
        self._checks: dict[str, Any] = {}
        self._features: dict[str, Tensor] = {}
        self._first_input: Tensor | None = None

    def carry_out(self) -> None:
        """Take the step, then ask the questions, then draw."""
        self._listening.scope = "data"
        training = self._training = self._begin()
        places = {id(one.module): one.place for one in self._witness.built}
        steps = self._advance(training)
        self._match(training)
        model = training.judged if self._asked.mode == "eval" else training.model
        names = {name: places.get(id(one), "") for name, one in training.model.named_modules()}
        # An average of the weights is a copy, built where its model was.
        places |= {id(one): names.get(name, "") for name, one in model.named_modules()}
        self._observer = observer = Observer(
            training,
            self._listening,
            places=places,
            is_in_step=self._asked.is_in_step,
            model=model,
        )
        with contextlib.ExitStack() as stack:
            stack.enter_context(observer.watching())
            stack.enter_context(self._catching(model))
            if self._asked.mode == "eval":
                _look_at_validation(training)
            else:
                next(steps)
        self._checks["modules"] = _use_of_modules(training, observer)
        self._checks["modules"]["unregistered"] = self._unregistered(training)
        if observer.stored is not None and observer.prepared is not None:
            self._checks |= check_all(training, observer.stored, observer.prepared)
            self._draw(observer)

    def _begin(self) -> Training:
        task = load_task(self._run, self._worktree)
        _uncompiled(task)
        # Streamed data is read in this process, where what runs is seen.
        alone = replace(self._run, workers=0, processes=1)
        with self._listening, self._noting_ties(task):
            training = begin(task, alone, drawn=self.drawn)
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
        if self._asked.weights:
            _load(training, Path(self._asked.weights))
        return training

    @contextlib.contextmanager
    def _noting_ties(self, task: Task) -> Iterator[None]:
        """Look at the model as it is made: another device or layout parts what shares memory."""
        make = task.model

        def made() -> nn.Module:
            model = make()
            self._checks["tied"] = {"pairs": sharing_memory(model)}
            return model

        object.__setattr__(task, "model", made)
        try:
            yield
        finally:
            object.__delattr__(task, "model")

    def _match(self, training: Training) -> None:
        """Begin the step with another probe's weights, and leave one's own for another."""
        if self._asked.takes:
            given = load_tensors(Path(self._asked.takes))
            if given is not None:
                self._checks["weights"] = take_over(training.model, given["model"])
        if self._asked.leaves:
            save_tensors(Path(self._asked.leaves), {"model": training.model.state_dict()})

    def _unregistered(self, training: Training) -> list[str]:
        """Return modules that the model uses and does not know, as those in a list of Python's."""
        held = [one for one in vars(training.task).values() if isinstance(one, nn.Module)]
        known = {id(p) for one in (training.model, *held) for p in one.parameters()}
        return [
            f"{built.kind} at {built.place}" if built.place else built.kind
            for built in self._witness.built
            if any(
                p.grad is not None and id(p) not in known
                for p in vars(built.module).get("_parameters", {}).values()
                if p is not None
            )
        ]

    def _advance(self, training: Training) -> Any:  # noqa: ANN401  the trainer's own iterator
        """Take the steps before the one that is looked at; return what takes it."""
        if self._asked.step > training.num_steps:
            raise ConfigError(
                f"--at step={self._asked.step}: the training has {training.num_steps} steps",
                hint="branchlab probe --help",
            )
        steps = epoch_steps(training)
        # A look at validation comes after the step, as the trainer's own does.
        while training.step < self._asked.step - (self._asked.mode != "eval"):
            if next(steps, None) is None or training.step % training.steps_per_epoch == 0:
                training.epochs_validated = training.epoch
                steps = epoch_steps(training)
        return steps

    @contextlib.contextmanager
    def _catching(self, model: nn.Module):  # type: ignore[no-untyped-def]  # noqa: ANN202
        """Keep what is drawn afterwards: the first layer's input, and outputs that are asked for."""
        handles = []

        def entering(_module: nn.Module, args: tuple[Any, ...]) -> None:
            if self._first_input is None:
                first = next((t for _, t in tensors_in(args) if t.ndim == 4), None)  # noqa: PLR2004  images
                self._first_input = first.detach().clone() if first is not None else None

        def leaving(name: str) -> Any:  # noqa: ANN401
            def left(_module: nn.Module, _args: object, outputs: object) -> None:
                first = next((t for _, t in tensors_in(outputs)), None)
                if first is not None:
                    self._features[name] = first.detach()

            return left

        for name, module in model.named_modules():
            if not list(module.children()):
                handles.append(module.register_forward_pre_hook(entering))
            if any(fnmatchcase(name, pattern) for pattern in self._asked.maps):
                handles.append(module.register_forward_hook(leaving(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _draw(self, observer: Observer) -> None:
        assert observer.stored is not None
        assert observer.prepared is not None
        rows = [("stored", observer.stored), ("prepared", observer.prepared)]
        if observer.augmented is not None:
            rows.append(("augmented", observer.augmented))
        first = self._first_input
        entering = observer.augmented or observer.prepared
        if first is not None and len(first) == len(entering):
            rows.append(("first layer", Batch(first, None, entering.ids)))
        affine = self._checks.get("affine")
        with contextlib.suppress(Exception):  # a picture that fails hurts nothing
            drawn = sheet(rows, affine=affine if affine and "scale" in affine else None)
            if drawn is not None:
                self._checks["pictures"] = {"inputs": self._save("inputs", drawn)}
                self._checks["pictures"]["rows"] = [name for name, _ in rows]
        for name, features in self._features.items():
            with contextlib.suppress(Exception):
                drawn = maps_of_features(features)
                if drawn is not None:
                    maps = self._checks.setdefault("pictures", {}).setdefault("maps", {})
                    maps[name] = self._save(f"map-{name}", drawn)

    def _save(self, name: str, picture: Tensor) -> str:
        return save_picture(self._pictures, name, picture).name

    def found(self, failure: str) -> Probe:
        """Return what was seen so far."""
        observer = self._observer
        return Probe(
            facts=_facts(self._run, self._asked, self._training),
            stages=tuple(observer.stages) if observer is not None else (),
            calls=tuple(self._listening.calls),
            checks=self._checks,
            failure=failure,
        )


def _uncompiled(task: Task) -> None:
    """Let the model be seen: hooks never fire in what torch.compile has made."""
    if task.recipe.compile:
        object.__setattr__(task, "recipe", replace(task.recipe, compile=False))


def _load(training: Training, path: Path) -> None:
    saved = load_tensors(path)
    if saved is None or not isinstance(saved.get("model"), dict):
        raise ConfigError(f"{path} holds no weights that can be read", hint="branchlab runs")
    try:
        training.model.load_state_dict(saved["model"])
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise ConfigError(f"{path} is of another model: {said}", hint="branchlab runs") from None


def _look_at_validation(training: Training) -> None:
    size = min(training.batch_size, len(training.data.val))
    stored = next(iter(training.data.val.in_order(size)))
    training.judged.eval()
    with torch.no_grad(), randomness.undisturbed(training.device), autocast(training):
        batch = training.task.prepare(stored)
        outputs = training.task.forward(training.judged, in_layout(batch, training.recipe))
        training.task.loss(outputs, batch)
        training.task.metrics(outputs, batch)


def _use_of_modules(training: Training, observer: Observer) -> dict[str, list[str]]:
    """Return modules that were built and called neither in the step nor in ``eval`` mode, where none is left out by chance."""
    called = {stage.name for stage in observer.stages if stage.kind == "module"}
    if observer.prepared is not None:
        called |= called_in_eval(training, observer.prepared)
    own = [
        name
        for name, module in training.model.named_modules()
        if name and any(True for _ in module.parameters(recurse=False))
    ]
    return {"never_called": [name for name in own if name not in called]}


def _facts(run: Run, asked: AskedProbe, training: Training | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "branch": run.branch,
        "seed": run.seed,
        "flags": dict(run.flags),
        "step": asked.step,
        "mode": asked.mode,
        "weights": asked.weights,
        "device": run.device,
        "torch": str(torch.__version__),
    }
    if training is None:
        return facts
    recipe = training.recipe
    return facts | {
        "batch_size": training.batch_size,
        "num_train": len(training.data.train),
        "num_val": len(training.data.val),
        "num_steps": training.num_steps,
        "num_parameters": sum(p.numel() for p in training.model.parameters()),
        "lr": training.lr,
        "precision": recipe.precision,
        "channels_last": recipe.channels_last,
        "frozen": list(recipe.frozen),
        "mixes_targets": bool(recipe.mixup or recipe.cutmix or recipe.label_smoothing),
    }
