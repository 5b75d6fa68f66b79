"""`make cluster`: nodes, PostgreSQL, Redis and nginx in front, on loopback, until Ctrl-C.

For whoever wants to see a cluster. Everything is real, each part a process of its own, with its files in one
folder. What nginx is told is what deploy/nginx has for nodes anywhere.
"""
