"""What is in Conduit's log, read as a subscriber reads it, to compare with what was acknowledged."""

from __future__ import annotations

import re

from bench import wire
from conduit.load.checks import Checks

_NUMBER_AND_SEQ = re.compile(rb'"n":(\d+),"order_id"[^}]*\},"published_at":"[^"]*","seq":(\d+)')


def answered(port: int, topic: str, count: int, in_flight: int, after: int = 0) -> Checks:
    """Compare the log with `count` acknowledged publishes of payloads 0, 1 …, in any order.

    Up to `in_flight` more may be stored: their answers were on the way when the load ended. `after` is
    the last `seq` before the load began.
    """
    stored = int(call_topic(port, topic)["last_seq"]) - after
    numbers: list[bytes] = []
    drain(port, topic, stored, numbers, after)
    unique = len(set(numbers))
    lost = max(0, count - unique) + max(0, stored - len(numbers))
    beyond = max(0, stored - count - in_flight)
    return Checks(count, len(numbers), lost, len(numbers) - unique + beyond, 0)


def call_topic(port: int, topic: str) -> dict[str, int]:
    """The topic as the REST API describes it."""
    return wire.call(port, "GET", f"/api/topics/{topic}")


def drain(port: int, topic: str, count: int, numbers: list[bytes], after: int = 0) -> None:
    """Append the payloads' numbers of the first `count` messages to `numbers`, in their order.

    The first message is the one behind the `seq` of `after`; 0 means the oldest that is stored.
    """
    start = {"seq": after + 1} if after else "earliest"
    connection = wire.subscribe(port, topic=topic, start=start, ack="auto")
    connection.settimeout(20)
    rest = b""
    try:
        while len(numbers) < count:
            data = rest + connection.recv(wire.READ_BYTES)
            if data == rest:
                return
            found = wire.NUMBER.findall(data)
            rest = wire.after_last(data, found)
            numbers += found
    except TimeoutError:
        return
    finally:
        connection.close()


def log(port: int, topic: str) -> list[tuple[bytes, bytes]]:
    """`seq` and payload's number of all stored messages, in the order in which they are delivered."""
    count = int(call_topic(port, topic)["last_seq"])
    connection = wire.subscribe(port, topic=topic, start="earliest", ack="auto")
    connection.settimeout(20)
    found: list[tuple[bytes, bytes]] = []
    rest = b""
    try:
        while len(found) < count:
            part = connection.recv(wire.READ_BYTES)
            if not part:
                break
            data = rest + part
            # Behind `seq` in every frame; what is before it is whole.
            end = max(0, data.rfind(b'"attempt"'))
            found += _NUMBER_AND_SEQ.findall(data, 0, end)
            rest = data[end:]
    except TimeoutError:
        pass
    finally:
        connection.close()
    return [(seq, number) for number, seq in found]
