"""What is answered to whoever has a node leave, or stay; also between nodes."""

from __future__ import annotations

import msgspec


class NodeDrain(msgspec.Struct, frozen=True):
    """How far a node is that was told to leave, or to stay.

    `phase`: `serving`; `telling`, the others are told; `handing_over`, its subscriptions go to them; `alone`,
    no other node is up, and it goes on; `lingering`, for load balancers to notice; `closing`, its sockets are
    closed; `drained`; `returning`; `ending`.
    """

    id: str
    state: str
    """`up` or `draining`, as the others see it."""
    phase: str
    connections: int
    owned_subscriptions: int
    """Durable subscriptions that run there still."""
    problem: str | None
    """Why it is not further, if that is not a matter of time."""
