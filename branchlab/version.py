"""The version of branchlab, apart so that naming it imports nothing else."""

__version__ = "0.1.0"
