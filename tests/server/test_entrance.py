"""Too many connections: who makes room, who is turned away, and that probes are always answered."""

import pytest

from conduit.server.entrance import IDLE_S, SPARE_MAX_COUNT, SPARE_TIMEOUT_S
from tests.server.peer import ANSWER, REQUEST
from tests.server.port import assert_refused, open_port, publish, request


async def test_a_connection_too_many_is_503_and_others_do_not_notice():
    async with open_port(max_connections=2) as port:
        first, second, third = [await port.connect() for _ in range(3)]
        await third.send(publish(1))
        await assert_refused(third, 503, "overloaded")
        await second.send(publish(2))
        assert (await second.answer()).json["seq"] == 1
        first.writer.close()
        third.writer.close()
        await port.until(lambda: len(port.context.connections) == 1)
        fourth = await port.connect()
        await fourth.send(publish(3))
        assert (await fourth.answer()).json["seq"] == 2


async def test_a_storm_of_connections_is_dropped_without_a_word_but_for_the_last_ones():
    async with open_port(max_connections=1) as port:
        clients = [await port.connect() for _ in range(SPARE_MAX_COUNT + 5)]
        await port.until(lambda: len(port.context.connections) == SPARE_MAX_COUNT + 1)
        assert await clients[1].rest() == b""
        await clients[-1].send(publish(1))
        await assert_refused(clients[-1], 503, "overloaded")
        await clients[0].send(publish(1))
        assert (await clients[0].answer()).status == 200


async def full(port):
    """The client of a port with room for one, who has been there for a while and is not idle."""
    client = await port.connect()
    await client.send(request("GET", "/slow"))
    await port.until(port.slow_begun.is_set)
    crowd(port, 1_000.0, 1_000.0 + 2 * IDLE_S)
    return client


def crowd(port, *times):
    """Let the whole sweep come at these times."""
    for now in times:
        port.context.entrance.begin_sweep(port.context.connection_count)
        port.sweep(now)


@pytest.mark.parametrize("path", ["/health", "/health/ready?x=1", "/metrics"])
async def test_probes_are_answered_when_the_server_is_full(path):
    async with open_port(max_connections=1) as port:
        await full(port)
        for method in ("GET", "HEAD"):
            probe = await port.connect()
            await probe.send(request(method, path))
            head = await probe.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 201 ")
            assert b"connection: close" in head
            await probe.rest()
        assert port.context.closings.counts["full"] == 0


async def test_silent_connections_too_many_do_not_keep_probes_out():
    async with open_port(max_connections=1) as port:
        await full(port)
        for _ in range(2 * SPARE_MAX_COUNT):
            await port.connect()
        probe = await port.connect()
        await probe.send(request("GET", "/health"))
        assert (await probe.answer()).status == 201


async def test_each_connection_too_many_is_counted_once():
    async with open_port(max_connections=1) as port:
        await full(port)
        for _ in range(SPARE_MAX_COUNT):
            client = await port.connect()
            await client.send(publish(1))
            assert (await client.answer()).status == 503
        for _ in range(10):
            await port.connect()
        await port.until(lambda: len(port.context.connections) == 1 + SPARE_MAX_COUNT)
        assert port.context.closings.counts["full"] == SPARE_MAX_COUNT


async def test_a_connection_too_many_that_says_nothing_is_told_soon():
    async with open_port(max_connections=1) as port:
        await full(port)
        silent = await port.connect()
        await port.until(lambda: len(port.context.connections) == 2)
        port.sweep(2_000.0, 2_000.1 + SPARE_TIMEOUT_S)
        await assert_refused(silent, 503, "overloaded")
        assert port.context.closings.counts["full"] == 1


async def test_a_websocket_too_many_is_refused():
    async with open_port(max_connections=1) as port:
        await full(port)
        client = await port.connect()
        await client.send(REQUEST)
        await assert_refused(client, 503, "overloaded")
        assert not port.context.sessions


@pytest.mark.parametrize("sent", [b"", b"GET /hea"])
async def test_silent_connections_that_fill_the_server_make_room_for_who_comes(sent):
    async with open_port(max_connections=3) as port:
        silent = [await port.connect() for _ in range(3)]
        for client in silent:
            await client.send(sent)
        await port.until(lambda: len(port.context.connections) == 3)
        await port.until(
            lambda: all(len(one._framer._data) == len(sent) for one in port.context.connections)
        )
        crowd(port, 1_000.0, 1_001.0)
        for number in range(1, 4):
            newcomer = await port.connect()
            await newcomer.send(publish(number))
            assert (await newcomer.answer()).json["seq"] == number
        assert port.context.closings.counts["displaced"] == 3
        for client in silent:
            assert await client.rest() == b""
        # They have just been served: whoever comes now is one too many.
        last = await port.connect()
        await last.send(publish(4))
        await assert_refused(last, 503, "overloaded")


async def test_who_was_served_and_is_idle_makes_room_after_some_time():
    async with open_port(max_connections=1) as port:
        idle = await port.connect()
        await idle.send(publish(1))
        await idle.answer()
        crowd(port, 1_000.0, 1_000.0 + IDLE_S - 1)
        early = await port.connect()
        await early.send(publish(2))
        await assert_refused(early, 503, "overloaded")
        crowd(port, 1_000.0 + IDLE_S)
        newcomer = await port.connect()
        await newcomer.send(publish(2))
        assert (await newcomer.answer()).json["seq"] == 2
        assert await idle.rest() == b""


async def test_who_has_said_something_since_the_sweep_is_not_displaced():
    async with open_port(max_connections=1) as port:
        client = await port.connect()
        await port.until(lambda: port.context.connections)
        crowd(port, 1_000.0, 1_001.0)
        await client.send(request("GET", "/slow"))
        await port.until(port.slow_begun.is_set)
        newcomer = await port.connect()
        await newcomer.send(publish(1))
        await assert_refused(newcomer, 503, "overloaded")
        port.slow.set()
        assert (await client.answer()).status == 201


# Connections of one address -----------------------------------------------------------------------

BY_ADDRESS = {"max_connections_per_address": 2, "trusted_proxies": "none"}


async def test_an_address_with_as_many_connections_as_it_may_gets_no_more_until_one_ends():
    async with open_port(**BY_ADDRESS) as port:
        first, second, third = [await port.connect() for _ in range(3)]
        await third.send(publish(1))
        await assert_refused(third, 403, "limit_reached")
        await second.send(publish(2))
        assert (await second.answer()).json["seq"] == 1
        probe = await port.connect()
        await probe.send(request("GET", "/health"))
        assert (await probe.answer()).status == 201
        first.writer.close()
        await port.until(lambda: sum(port.context.entrance._counts.values()) == 1)
        fourth = await port.connect()
        await fourth.send(publish(3))
        assert (await fourth.answer()).json["seq"] == 2
        assert port.context.closings.counts["address"] == 1


async def test_websockets_of_an_address_count_too():
    async with open_port(**BY_ADDRESS) as port:
        for _ in range(2):
            client = await port.connect()
            await client.send(REQUEST)
            await client.reader.readexactly(len(ANSWER))
        third = await port.connect()
        await third.send(publish(1))
        await assert_refused(third, 403, "limit_reached")
        client.writer.close()
        await port.until(lambda: len(port.context.sessions) == 1)
        fourth = await port.connect()
        await fourth.send(publish(1))
        assert (await fourth.answer()).status == 200


async def test_of_a_trusted_address_connections_are_not_counted():
    async with open_port(max_connections_per_address=1) as port:
        for number in range(1, 6):
            client = await port.connect()
            await client.send(publish(number))
            assert (await client.answer()).json["seq"] == number
