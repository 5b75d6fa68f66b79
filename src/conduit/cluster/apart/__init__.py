"""Nodes that share no log: each has its own in memory, and tells the others of what it stores."""
