"""A recording is of the training that the trainer makes: same bits, nothing changed by looking."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from branchlab.domain import Noted
from branchlab.run_folder import AskedRecording, pack_recording, unpack_recording
from branchlab.train import recording as module
from branchlab.train.digests import digest, digest_of_rows


def recorded(monkeypatch, task, run, **asked):
    monkeypatch.setattr(module, "load_task", lambda *_: task)
    return module.record(run, AskedRecording(**{"steps": 1000, **asked}), Path("/nowhere"))


def test_the_losses_are_those_of_the_trainer_to_the_bit(monkeypatch, training, tiny) -> None:
    ending = training(tiny())
    found = recorded(monkeypatch, tiny(), training.plan())

    losses = np.array(found.losses(), dtype="float32").tobytes()
    assert hashlib.sha256(losses).hexdigest()[:16] == ending.loss_digest
    assert found.num_steps == ending.steps


def test_looking_closely_changes_nothing(monkeypatch, training, tiny) -> None:
    run = training.plan()
    far, near = (
        recorded(monkeypatch, tiny(), run, closely=closely) for closely in ((), tuple(range(1, 20)))
    )

    assert far.losses() == near.losses()
    assert far.named(Noted.STATE)[-1] == near.named(Noted.STATE)[-1]
    assert not far.named(Noted.ENTERS)
    assert {note.step for note in near.named(Noted.LEAVES)} == set(range(1, near.num_steps + 1))


def test_the_functions_of_torch_are_put_back(monkeypatch, training, tiny) -> None:
    before = nn.Module.__init__, torch.manual_seed

    recorded(monkeypatch, tiny(), training.plan(), steps=2)

    assert (nn.Module.__init__, torch.manual_seed) == before


def test_a_task_that_raises_leaves_what_was_noted_before(monkeypatch, training, tiny) -> None:
    class Broken(tiny):
        def loss(self, outputs, batch):
            raise ValueError("no loss today")

    found = recorded(monkeypatch, Broken(), training.plan())

    assert found.failure == "ValueError: no loss today"
    assert found.named(Noted.OUTPUTS)
    assert found.num_steps == 0


def test_a_recording_survives_its_file(monkeypatch, training, tiny) -> None:
    found = recorded(monkeypatch, tiny(), training.plan(), steps=3)

    assert unpack_recording(pack_recording(found)) == found
    assert unpack_recording(b"nothing") is None
    assert unpack_recording(pack_recording(found)[:-20]) is None


def test_digests_tell_bits_apart_and_nothing_else() -> None:
    x = torch.arange(12.0).reshape(3, 4)

    assert digest(x) == digest(x.clone()) == digest(x.t().contiguous().t())
    assert digest(x) != digest(x.reshape(4, 3))
    assert digest(torch.tensor(0.0)) != digest(torch.tensor(-0.0))
    assert digest({"a": [x, None], "b": (1, "c")}) != digest({"a": [x, None], "b": (2, "c")})
    assert digest(x.to(torch.bfloat16)) != digest(x)
    assert digest(torch.view_as_complex(x.reshape(6, 2))) != digest(x)
    assert digest_of_rows(x) == digest_of_rows(x.flip(0))
    assert digest_of_rows(x) != digest_of_rows(x.flip(1))
