"""What is on its way into the log for a tenant whose stored bytes have a bound."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from conduit.broker.allowances import Allowance
from conduit.broker.publish.queue import Unit
from conduit.core.message import NewMessage
from conduit.errors import ConduitError, OutcomeUnknown
from conduit.storage.base import Appended


class Counted(msgspec.Struct, eq=False, gc=False):
    """A unit whose bytes count as coming until it is known what became of it."""

    unit: Unit
    allowance: Allowance
    size_bytes: int

    def stored(self, seqs: Sequence[Appended], start: int) -> None:
        """See `Unit.stored`. Its topics count it by now."""
        self._end()
        self.unit.stored(seqs, start)

    def failed(self, error: ConduitError) -> None:
        """See `Unit.failed`."""
        if not isinstance(error, OutcomeUnknown):
            self._end()
        self.unit.failed(error)

    def _end(self) -> None:
        self.allowance.coming_bytes -= self.size_bytes
        self.size_bytes = 0


def counted(unit: Unit, allowance: Allowance, messages: Sequence[NewMessage]) -> Unit:
    """The unit as it is to be queued; it must be told what became of it. Raises LimitReached if the tenant
    has no room for its messages."""
    size_bytes = allowance.check_stored_of(messages)
    if not size_bytes:
        return unit
    allowance.coming_bytes += size_bytes
    return Counted(unit, allowance, size_bytes)
