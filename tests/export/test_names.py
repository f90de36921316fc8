from __future__ import annotations

import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlab.export.names import for_mlflow, for_wandb, read_back

ODD = st.text(alphabet="ab/.:[]_ %é\\\n-", max_size=12)


@given(ODD | st.text(max_size=20))
def test_a_name_that_was_replaced_can_be_read_back(name: str) -> None:
    assert read_back(for_mlflow(name)) == name
    assert read_back(for_wandb(name)) == name


@given(ODD.filter(bool))
def test_mlflow_takes_every_name_that_is_written_for_it(name: str) -> None:
    # The two rules of mlflow.utils.validation, as of 3.17.
    found = for_mlflow(name)
    assert re.fullmatch(r"[/\w.\- :]*", found)
    normal = posixpath.normpath(found)
    assert (normal, normal == ".", normal.startswith(("..", "/"))) == (found, False, False)


@given(ODD, ODD)
def test_two_names_never_become_one(one: str, other: str) -> None:
    assert (one == other) == (for_mlflow(one) == for_mlflow(other))


@pytest.mark.parametrize("name", ["val/accuracy", "train/loss", "system/cpu_percent", "lr-0.1 x"])
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert for_mlflow(name) == for_wandb(name) == name


def test_a_class_in_brackets_stays_readable() -> None:
    assert for_mlflow("val/accuracy[shirt]") == "val/accuracy:5B:shirt:5D:"
    assert for_wandb("val/accuracy[shirt]") == "val/accuracy[shirt]"
    assert for_wandb("_step") == ":5F:step"
