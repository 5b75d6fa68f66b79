"""Benchmarks: one file per question, the same work for Conduit and its peers. `python -m bench --help`."""
