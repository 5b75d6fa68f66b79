"""The place of an answer among those of a connection."""

from __future__ import annotations

import msgspec

from conduit.server.head import Head


class Slot(msgspec.Struct, eq=False, gc=False):
    """The place of one answer in the order; `data` is None until there is an answer."""

    head: Head | None
    data: bytes | None
