"""Puts a branch's unguarded changes behind a new flag that is off: base and head side by side, from sources alone.

``guard.guard_features`` is the door; below it, from the bottom up: ``code`` (LibCST nodes and where they stand),
``expressions`` and ``blocks`` (two bodies made one), ``scopes`` (whether that is sound), ``signatures`` (a parameter, an
argument, an attribute more; ``docstrings`` names it), ``spelling``, ``uses`` and ``chain`` (who calls what, up to the
task), ``threading`` (the flag put along that path), ``bodies``, ``defaults``, ``constants`` and ``flips`` (what changed),
``restoring`` (old values and names that the base's code needs), ``proposal`` (the values).
LibCST is imported here alone, and only when a command asks for it.
"""
