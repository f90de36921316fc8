"""What a branch changes in the code, and what each change needs before it may go back to main: from sources alone.

The rule is reduction. Every new flag's default is put into the head version, what is then constant or dead is folded
away, spelling is normalised, and the rest is compared with the base. Nothing is imported or run, and nothing but texts
comes in. ``engine.find_features`` is the door; the modules below it, from the bottom up: ``syntax`` (a file as symbols),
``trees`` (nodes and the flags that they came from), ``clean`` (one spelling), ``fold`` (constants), ``reducer`` (a body at
given values), ``settle`` (dead stores, names of locals), ``signatures`` and ``options`` (what callers rely on), ``flags``
(what is new and its default), ``judge`` (one symbol), ``reach`` (who gets to new names), ``joining`` (features).
"""

ENGINE_VERSION = 1
"""Part of every key under which results are kept; raise it whenever a verdict or a reason may come out otherwise."""
