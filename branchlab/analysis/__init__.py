"""What can be computed from values alone: landing, verdicts. No git, no SQL, no torch, no process."""
