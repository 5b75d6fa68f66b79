"""Ways to use a connection and to end it, from either side."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable

from conduit.core.quota import Kind
from conduit.server.watched import LINGER_S
from tests.server.peer import CLOSE, PING, REQUEST, TEXT, Peer, frame
from tests.server.port import TOPIC, Port, publish, request
from tests.server.ticking import Ticking

UNKNOWN_ID = "0190aaaa-0000-7000-8000-000000000000"

Way = Callable[[Port], Awaitable[None]]
WAYS: list[Way] = []


def way(use: Way) -> Way:
    """A way to use a connection."""
    WAYS.append(use)
    return use


class Raw(Peer):
    """A connection that leaves no objects of asyncio behind."""

    async def connect(self, port: Port) -> Raw:
        """To be used for HTTP."""
        await asyncio.get_running_loop().sock_connect(self.socket, port.address)
        return self

    async def answer(self) -> None:
        """Wait for an answer, of which nothing more is asked than that it comes."""
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(self.socket, 1 << 16), 10)

    async def tell(self, **fields: object) -> None:
        """Send a frame of the protocol."""
        await self.send(frame(TEXT, json.dumps(fields).encode()))

    async def hear(self, kind: str) -> dict[str, object]:
        """The next frame of this type."""
        while True:
            _, payload = await self._received()
            said: dict[str, object] = json.loads(payload)
            if said["type"] == kind:
                return said

    async def _received(self) -> tuple[int, bytes]:
        first, length = await self._read(2)
        if length > 125:
            length = int.from_bytes(await self._read(2 if length == 126 else 8), "big")
        return first & 0x0F, await self._read(length)

    async def read_to_the_end(self) -> None:
        """Until the server has closed."""
        loop = asyncio.get_running_loop()
        try:
            while await asyncio.wait_for(loop.sock_recv(self.socket, 1 << 16), 10):
                pass
        except ConnectionResetError:
            pass
        self.socket.close()

    def reset(self) -> None:
        """Break the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


async def http(port: Port, *data: bytes) -> Raw:
    """A connection that has sent this."""
    raw = await Raw().connect(port)
    await raw.send(*data)
    return raw


async def opened(port: Port) -> Raw:
    """A WebSocket."""
    raw = Raw()
    await raw.open(port.address, b"")
    return raw


async def subscribed(port: Port, **fields: object) -> Raw:
    """A WebSocket that has a subscription."""
    raw = await opened(port)
    await raw.tell(type="subscribe", **{"topic": TOPIC, **fields})
    await raw.hear("subscribed")
    return raw


# HTTP ---------------------------------------------------------------------------------------------


@way
async def http_closed_by_the_client(port: Port) -> None:
    raw = await http(port, publish(1))
    await raw.answer()
    raw.socket.close()


@way
async def http_closed_by_the_server(port: Port) -> None:
    raw = await http(port, publish(1, "Connection: close"))
    await raw.read_to_the_end()


@way
async def http_broken_with_answers_unread(port: Port) -> None:
    raw = await http(port, *[publish(number) for number in range(20)])
    raw.reset()


@way
async def http_refused_publishes(port: Port) -> None:
    raw = await http(port, publish(1, topic=".."), publish(1, topic="unknown"))
    await raw.answer()
    raw.socket.close()


@way
async def http_that_is_none(port: Port) -> None:
    raw = await http(port, b"NONSENSE\r\n\r\n")
    await raw.read_to_the_end()


@way
async def http_with_half_a_body(port: Port) -> None:
    raw = await http(port, publish("x" * 100_000)[:50_000])
    raw.socket.close()


@way
async def http_to_the_app(port: Port) -> None:
    raw = await http(port, request("GET", "/said"))
    await raw.answer()
    await raw.send(request("GET", "/said"), publish(1))
    await raw.answer()
    raw.socket.close()


@way
async def http_that_the_app_answers_too_late(port: Port) -> None:
    port.slow_begun.clear()
    raw = await http(port, request("GET", "/listen"))
    await port.slow_begun.wait()
    raw.reset()
    await port.heard_end.wait()


@way
async def http_that_is_swept(port: Port) -> None:
    raw = await http(port, b"GET / HTTP/1.1\r\n")
    await port.until(
        lambda: [one._standstill(0)[0] for one in port.context.connections] == ["head"]
    )
    limit_s = port.context.limits.header_timeout_s
    port.sweep(0.0, 1.0, 2.0 + limit_s)
    port.sweep(3.0 + limit_s, 4.0 + limit_s, 5.0 + limit_s + LINGER_S)
    await raw.read_to_the_end()


@way
async def http_that_the_server_shuts(port: Port) -> None:
    raw = await http(port, publish(1))
    await raw.answer()
    for connection in tuple(port.state.connections):
        connection.shutdown()
    await raw.read_to_the_end()


@way
async def an_upgrade_that_is_refused(port: Port) -> None:
    raw = await http(port, request("GET", "/ws", None, "Upgrade: websocket"))
    await raw.answer()
    raw.socket.close()


# WebSockets ---------------------------------------------------------------------------------------


@way
async def a_websocket_without_a_word(port: Port) -> None:
    (await opened(port)).socket.close()


@way
async def a_websocket_after_a_request_to_the_app(port: Port) -> None:
    raw = await http(port, request("GET", "/said"))
    await raw.answer()
    await raw.send(REQUEST)
    await raw.answer()
    raw.socket.close()


@way
async def a_websocket_that_says_goodbye(port: Port) -> None:
    raw = await opened(port)
    await raw.send(frame(PING), frame(CLOSE, b"\x03\xe8"))
    await raw.read_to_the_end()


@way
async def a_websocket_that_breaks_after_a_large_frame(port: Port) -> None:
    raw = await opened(port)
    await raw.tell(type="publish", topic=TOPIC, payload="x" * 200_000, ref="large")
    await raw.hear("published")
    raw.reset()


@way
async def a_websocket_with_a_bad_frame(port: Port) -> None:
    raw = await opened(port)
    await raw.send(frame(5, b"x"))
    await raw.read_to_the_end()


@way
async def a_websocket_with_a_frame_that_is_too_large(port: Port) -> None:
    raw = await opened(port)
    await raw.send(frame(TEXT, b"x" * (port.context.limits.max_frame_bytes + 1))[:1000])
    await raw.read_to_the_end()


@way
async def a_websocket_with_half_a_message(port: Port) -> None:
    raw = await opened(port)
    await raw.send(frame(TEXT, b"{" * 50_000, fin=False))
    raw.reset()


@way
async def a_websocket_with_half_a_message_for_too_long(port: Port) -> None:
    raw = await opened(port)
    await raw.send(frame(TEXT, b"{" * 50_000, fin=False), frame(TEXT, b"{" * 100_000)[:-1])
    (session,) = port.context.sessions
    await port.until(lambda: session._source.pending_bytes > 100_000)
    for now in (0.0, 0.0, 0.0, 0.0, 31.0, 31.0, 31.0, 31.0, 40.0):
        session.check(now)
    await raw.read_to_the_end()


@way
async def a_websocket_whose_buffer_is_given_back(port: Port) -> None:
    raw = await opened(port)
    await raw.tell(type="publish", topic=TOPIC, payload="x" * 200_000, ref="large")
    await raw.hear("published")
    (session,) = port.context.sessions
    for _ in range(8):
        session.check(1.0)
    await raw.tell(type="publish", topic=TOPIC, payload="x", ref="small")
    await raw.hear("published")
    raw.reset()


@way
async def a_websocket_that_has_to_give_way(port: Port) -> None:
    raw = await opened(port)
    await raw.send(frame(TEXT, b"{" * 50_000, fin=False))
    (session,) = port.context.sessions
    await port.until(lambda: session.unfinished)
    session.give_way(Kind.MESSAGE)
    await raw.read_to_the_end()


@way
async def a_websocket_with_faults(port: Port) -> None:
    raw = await opened(port)
    await raw.tell(type="none", ref="1")
    await raw.tell(type="subscribe", topic="..", ref="2")
    await raw.tell(type="subscribe", topic=TOPIC, subscription="unknown", create=False, ref="3")
    await raw.tell(type="ack", message_id=UNKNOWN_ID, ref="4")
    for _ in range(4):
        await raw.hear("error")
    raw.socket.close()


@way
async def a_websocket_that_is_aborted(port: Port) -> None:
    raw = await subscribed(port)
    for session in tuple(port.context.sessions):
        session.abort()
    await raw.read_to_the_end()


@way
async def a_websocket_that_is_slow(port: Port) -> None:
    raw = await subscribed(port, ack="auto")
    (session,) = port.context.sessions
    session.write(b"\x81\x00" * 2_000_000)
    for now in (0.0, 11.0, 12.0, 20.0):
        session.check(now)
    await raw.read_to_the_end()


@way
async def a_websocket_when_the_server_stops(port: Port) -> None:
    raw = await subscribed(port)
    for session in tuple(port.context.sessions):
        session.announce_restart(500)
    await raw.hear("closing")
    raw.socket.close()


# Subscriptions ------------------------------------------------------------------------------------


@way
async def a_stream_with_messages_unacked(port: Port) -> None:
    raw = await subscribed(port)
    await raw.send(*[frame(TEXT, _publish(number)) for number in range(3)])
    told = [await raw.hear("message") for _ in range(3)]
    await raw.tell(type="ack", message_id=told[0]["message_id"], ref="1")
    await raw.hear("acked")
    await raw.tell(type="nack", message_id=told[1]["message_id"])
    raw.reset()


@way
async def a_durable_subscription_with_messages_unacked(port: Port) -> None:
    raw = await subscribed(port, subscription="durable")
    await raw.send(*[frame(TEXT, _publish(number)) for number in range(3)])
    told = [await raw.hear("message") for _ in range(3)]
    await raw.tell(type="ack", message_id=told[0]["message_id"], ref="1")
    await raw.hear("acked")
    raw.reset()


@way
async def a_pattern_that_reads_the_log(port: Port) -> None:
    writer = await http(port, *[publish(number) for number in range(20)])
    await port.until(lambda: port.last_seq >= 20)
    writer.socket.close()
    raw = await subscribed(port, topic=">", start="earliest", max_in_flight=5)
    await raw.hear("message")
    raw.reset()


@way
async def a_stream_that_is_ended(port: Port) -> None:
    raw = await subscribed(port)
    await raw.tell(type="unsubscribe", topic=TOPIC)
    await raw.hear("unsubscribed")
    raw.socket.close()


@way
async def a_stream_whose_topic_is_deleted(port: Port) -> None:
    raw = await subscribed(port, topic="deleted")
    await port.broker.topics.delete("default", "deleted")
    await port.until(lambda: all(one.closing for one in port.context.sessions))
    raw.reset()


@way
async def a_websocket_that_leaves_while_its_acks_are_looked_up(port: Port) -> None:
    raw = await subscribed(port)
    port.store.gate.clear()
    await raw.tell(type="ack", message_id=UNKNOWN_ID)
    (session,) = port.context.sessions
    await port.until(lambda: session._connection.verbs.lookups.is_busy)
    session.abort()
    await port.until(lambda: not port.context.connection_count)
    port.store.gate.set()
    raw.socket.close()


@way
async def a_websocket_that_is_lost_before_all_is_handled_that_it_sent(port: Port) -> None:
    raw = await opened(port)
    port.context.intake.now = Ticking()
    await raw.send(frame(TEXT, b"{}") * 1_500)
    (session,) = port.context.sessions
    await port.until(lambda: session.is_behind)
    session._transport.abort()
    raw.socket.close()


@way
async def a_publisher_that_leaves_before_the_commit(port: Port) -> None:
    raw = await opened(port)
    port.store.gate.clear()
    port.store.appending.clear()
    await raw.send(frame(TEXT, _publish(1)))
    await port.store.appending.wait()
    raw.reset()
    await port.until(lambda: not port.context.connection_count)
    port.store.gate.set()


def _publish(number: int) -> bytes:
    return json.dumps({"type": "publish", "topic": TOPIC, "payload": number}).encode()
