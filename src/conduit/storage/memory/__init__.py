"""The store that lives in this process and ends with it: bounded, fast, not durable."""

from conduit.storage.memory.store import MemoryStore

__all__ = ["MemoryStore"]
