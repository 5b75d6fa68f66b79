"""Faults of a cluster under load: nodes, PostgreSQL and Redis in networks of their own, a recorded history,
and a pure checker of what a cluster promises.

The clients, the log's checks and the report are those of tests/crash. `run.py` is the command.
"""
