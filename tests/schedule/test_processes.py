from __future__ import annotations

import pytest

from branchlab.domain import RunState


def test_a_run_of_two_processes_is_trained_and_recorded(lab) -> None:
    import time
    t=time.time()
    record = lab.carry_out(lab.plan("a", processes=2))["a"]
    print(time.time()-t)
    print(lab.log("a"))
    assert record.state is RunState.DONE, record.reason
    print(record)
    assert lab.log("a") == ""
