"""Nodes that act as one: what they say to each other, and over what."""
