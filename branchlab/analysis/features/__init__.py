"""What a branch changes in the code, and what each change needs before it may go back to main: from sources alone.

The rule is reduction. Every new flag's default is put into the head version, what is then constant or dead is folded
away, spelling is normalised, and the rest is compared with the base. Nothing is imported or run, and nothing but texts
comes in. ``engine.find_features`` is the door. From the bottom up:

- ``trees`` (nodes and the flags that they came from), ``syntax`` (a file as symbols), ``origins``, ``options``,
  ``signatures`` (what callers rely on), ``literals``, ``fold``, ``clean`` (one spelling);
- ``expressions``, ``reducer``, ``inline``, ``branches``, ``settle``, ``handover``: a body at given values, at its shortest;
- ``flags`` and ``world`` (what is new and its default), ``kin`` (who inherits), ``reading`` (both sides at given values);
- ``judge``, ``bodies``, ``flips``, ``choices``: one function; ``classes``, ``modules``, ``settings``: what is around it;
- ``reach``, ``registries``, ``imports``, ``callers``, ``names``: who gets to it; ``joining``: features.
"""

ENGINE_VERSION = 2
"""Part of every key under which results are kept; raise it whenever a verdict or a reason may come out otherwise."""
