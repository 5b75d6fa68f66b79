"""SIGKILL under load on SQLite: a workload with a history, and a checker of what it promises."""
