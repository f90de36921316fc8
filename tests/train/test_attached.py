"""A training with the terminal as its own."""

from __future__ import annotations

import pytest

from branchlab.errors import ConfigError
from branchlab.run_folder import RunFolder
from branchlab.train import attached
from tests.train.test_recipe import Net, planned


def test_a_step_beyond_the_training_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(attached, "load_task", lambda *_: Net(epochs=1))
    with pytest.raises(ConfigError, match=r"--at step=999: the training has \d+ steps"):
        attached._begin(planned(), RunFolder(tmp_path), tmp_path, 999)
