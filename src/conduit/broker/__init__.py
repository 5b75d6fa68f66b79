"""The broker: asyncio around the core. `broker.py` is what the edges call; follow a message from there."""
