"""Carries out one order on a machine that has no warm parent: a node of a cluster.

``python -m branchlab.train.node ORDER`` takes the order as a JSON document, becomes the run's shim and ends with it. A
SIGTERM, with which clusters announce a preemption or the end of the time, lets the run write a checkpoint.
"""

from __future__ import annotations

import json
import sys

from branchlab.train.sharing import clear
from branchlab.train.shim import stand_for
from branchlab.train.work import Order


def main() -> int:
    """Carry the order of the command line out; return the exit code."""
    try:
        return stand_for(Order.of(json.loads(sys.argv[1])))
    finally:
        clear()


if __name__ == "__main__":
    sys.exit(main())
