"""The edges of one node: the port, its handlers, and what they share."""
