"""Several nodes on one machine and one port, each a process: who starts them, and what each of them is told.

The supervisor (`supervisor.py`) is forked into the workers, so nothing that starts a thread or a loop is
imported there. A worker is a server like any other, with an address of its own beside the one that all share.
"""
