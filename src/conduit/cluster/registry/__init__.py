"""Who is in the cluster and who wants what, by Redis: for latency only. Start reading at `registry.py`."""
