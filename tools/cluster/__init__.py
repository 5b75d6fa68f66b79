"""`make cluster`: nodes, PostgreSQL, Redis and nginx in front, on loopback, until Ctrl-C.

For whoever wants to see a cluster. Everything is real, each part a process of its own, with its files in one
folder. `docs` show `conduit.conf` to those who put nginx in front of nodes elsewhere.
"""
