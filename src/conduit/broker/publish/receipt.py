"""How a publisher is told: the callbacks that a receipt or the reason against it is given to."""

from __future__ import annotations

from collections.abc import Callable

from conduit.errors import ConduitError
from conduit.protocol.records import Receipt

Answer = Callable[[Receipt | ConduitError], None]
"""Called once, on the loop's thread, at once or after the commit. Must not raise."""
AnswerAll = Callable[[list[Receipt] | ConduitError], None]
"""The same for a batch: all receipts, in order, or the one reason."""
