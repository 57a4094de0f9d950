"""Synthetic logs with planted interests: `generate.generate(SyntheticConfig()) -> Synthetic`."""
