"""Exit codes with which shims and parents answer whoever started them; here for those who must not import torch."""

ELSEWHERE = 3
"""A shim: another process works on the run, or has finished it."""

BUSY = 4
"""A shim: the slot was taken by another command's run in between."""

AGAIN = 75
"""A shim: the cluster has stopped the run, and is to go on with it."""

ANOTHER = 76
"""A parent: another of its kind is at its socket."""
