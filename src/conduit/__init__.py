"""Conduit: a real-time event delivery server with durable, acknowledged delivery."""

__version__ = "0.1.0"
