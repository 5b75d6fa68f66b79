"""A model of what the broker promises, and what drives it against the real one."""
