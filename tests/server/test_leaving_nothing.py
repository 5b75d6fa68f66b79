"""What is left of a connection when it is closed: nothing, also while the garbage collector does not run.

A connection in a cycle of references keeps what it has read and not sent until a full collection, which may
be hours away, and everything that such a collection then has to look at holds up the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import Counter

import pytest

from conduit.server.rest.api import create_api
from tests.server.guarded import open_guarded
from tests.server.guarded_ways import GUARDED_WAYS, GuardedWay
from tests.server.port import Port, open_port, request
from tests.server.ways import WAYS, Way, http, http_closed_by_the_client

# What a connection is made of: ours, picows', uvicorn's, and the loop's transports.
MODULES = ("conduit.", "picows.", "uvicorn.", "uvloop.")
# Of these none may be there afterwards, whoever has them.
OF_A_CONNECTION = {
    "BoundFront",
    "Framer",
    "Control",
    "RequestResponseCycle",
    "Session",
    "_Protocol",
    "_Outlet",
    "_Drain",
    "WSTransport",
    "TCPTransport",
    "Connection",
    "Verbs",
    "Lookups",
    "Reads",
    "Subscriber",
    "Announcement",
}
TIMES = 3
GONE_WITHIN_S = 3.0


def kinds(objects: list[object]) -> Counter[str]:
    """How many there are of each type that a connection is made of."""
    return Counter(
        type(one).__name__ for one in objects if str(type(one).__module__).startswith(MODULES)
    )


async def after_some_times(port: Port, use: Way) -> tuple[Counter[str], Counter[str]]:
    """What is there more than before, and what only the collector can free."""
    # What is made once, is made now.
    await _use(port, use)
    gc.collect()
    gc.disable()
    # What is there now is looked at no more.
    gc.freeze()
    try:
        for _ in range(TIMES):
            await _use(port, use)
        # A timer that is due in some milliseconds may still have it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_WITHIN_S):
                await port.until(lambda: not kinds(gc.get_objects()).keys() & OF_A_CONNECTION)
        more = kinds(gc.get_objects())
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return more, kinds(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def _use(port: Port, use: Way) -> None:
    await use(port)
    await port.until(lambda: not port.context.connection_count)
    # Whatever its last callbacks have asked for is done in the next turns of the loop.
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("use", WAYS, ids=lambda use: use.__name__)
async def test_a_closed_connection_is_freed_without_the_collector(use: Way) -> None:
    async with open_port() as port:
        more, garbage = await after_some_times(port, use)
    assert not garbage
    assert not {kind: count for kind, count in more.items() if kind in OF_A_CONNECTION}


async def test_connections_above_the_limit_are_freed_without_the_collector() -> None:
    async with open_port(max_connections=0) as port:
        more, garbage = await after_some_times(port, http_closed_by_the_client)
    assert not garbage
    assert not {kind: count for kind, count in more.items() if kind in OF_A_CONNECTION}


async def gone_before_the_app_has_its_body(port: Port) -> None:
    raw = await http(port)
    await port.until(lambda: port.context.connections)
    (front,) = port.context.connections
    front.data_received(request("PATCH", "/api/topics/demo", b"{}"))
    front._transport.abort()
    raw.socket.close()


async def test_a_request_of_who_is_gone_before_it_begins_is_freed_without_the_collector() -> None:
    async with open_port(create_api) as port:
        more, garbage = await after_some_times(port, gone_before_the_app_has_its_body)
    assert not garbage
    assert not {kind: count for kind, count in more.items() if kind in OF_A_CONNECTION}


@pytest.mark.parametrize("use", GUARDED_WAYS, ids=lambda use: use.__name__)
async def test_so_is_one_where_everybody_has_to_say_who_he_is(use: GuardedWay) -> None:
    async with open_guarded() as guarded:
        key = (await guarded.key()).text
        more, garbage = await after_some_times(guarded.port, lambda _port: use(guarded, key))
    assert not garbage
    assert not {kind: count for kind, count in more.items() if kind in OF_A_CONNECTION}
