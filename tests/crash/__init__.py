"""Faults under load: a workload with a history, and a checker of what the server promises."""
