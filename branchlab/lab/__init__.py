"""The verbs, a module each: they join the rooms below and return values that cli, tui and report show."""
