"""What looking at a step costs, against the bare step: hooks on every module, gradients, the optimiser, and calls of torch.

Models: *tiny* is the example's ConvNet on 64 images, *medium* torchvision's ResNet-18 on 8. Each round takes a bare step of the trainer and
a watched one of the same training, in turns and in one process with one thread, by CPU time. The questions that take another pass
(inputs that change nothing, examples that mix ...) are timed by themselves.

Goal: a watched step of ResNet-18 takes less than three bare ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from timing import Goal, Report, Timed, parser

_BARE, _WATCHED, _QUESTIONS = "bare step", "watched step", "questions"
_GOAL = 3.0


def main() -> None:
    made = parser(__doc__, rounds=9)
    made.add_argument("--device", default="cpu", help="cpu or cuda [cpu]")
    options = made.parse_args()
    report = Report("The probe")
    for model, size in (("tiny", 64), ("medium", 8)):
        timed = _measure(model, size, options.device, options.rounds)
        report.add(f"{model}: seconds of one step", timed, against=[_BARE])
        if model == "medium":
            ratio = timed[_WATCHED].median / timed[_BARE].median
            report.goals.append(Goal("ResNet-18: watched against bare", ratio, _GOAL))
    report.print(as_json=options.json)


def _measure(model: str, size: int, device: str, rounds: int) -> dict[str, Timed]:
    import torch
    from trainer import _images, _network, _prepare

    _prepare(device)
    import branchlab
    from branchlab.domain import Run, Sample, Scale
    from branchlab.train.probe.calls import Listening
    from branchlab.train.probe.checks import check_all
    from branchlab.train.probe.observing import Observer
    from branchlab.train.trainer import epoch_steps
    from branchlab.train.training import begin

    name = model

    class Bench(branchlab.Task):
        recipe = branchlab.Recipe(epochs=10, batch_size=size)

        def data(self) -> branchlab.Splits:
            images, labels, val_images, val_labels = _images(name)
            train = branchlab.Examples(images, labels)
            return branchlab.Splits(train=train, val=branchlab.Examples(val_images, val_labels))

        def model(self) -> Any:  # noqa: ANN401
            return _network(name)

    run = Run(
        id="bench", key="", branch="main", commit="", tree="", task="bench:Bench", seed=0,
        scale=Scale.FULL, sample=Sample(fraction=1.0), device=device,
    )  # fmt: skip
    training = begin(Bench(), run)
    steps = epoch_steps(training)
    clock = time.process_time if device == "cpu" else time.perf_counter

    def spent(work: Callable[[], object]) -> float:
        started = clock()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        return clock() - started

    def watched() -> Observer:
        observer = Observer(training, Listening(lambda _: "", batch_size=size), places={})
        with observer.watching():
            next(steps)
        return observer

    timed = {name: Timed() for name in (_BARE, _WATCHED, _QUESTIONS)}
    seen: list[Observer] = []
    for number in range(rounds + 1):
        bare = spent(lambda: next(steps))
        looked = spent(lambda: seen.append(watched()))
        asked = spent(lambda: check_all(training, seen[-1].stored, seen[-1].prepared))
        if number:  # the first round warms up
            for one, value in ((_BARE, bare), (_WATCHED, looked), (_QUESTIONS, asked)):
                timed[one].walls.append(value)
    return timed


if __name__ == "__main__":
    main()
