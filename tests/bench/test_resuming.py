"""What the benchmark of recoveries reads of a server."""

from urllib.request import urlopen

import pytest

from bench import resuming, wire
from tests.support.server import running_server


@pytest.mark.process
def test_deliveries_and_confirmations_of_a_server_are_read():
    with running_server() as server, resuming._Subscriber(server.port, "t", "s") as subscriber:
        for number in range(3):
            body = b'{"topic":"t","payload":%b}' % (wire.PAYLOAD % number)
            with urlopen(f"{server.url}/api/publish", body) as answer:
                assert answer.status == 200
        reads = subscriber.read_until_quiet()
        seen: list[resuming.Delivery] = []
        while len(seen) < 3:
            seen += next(reads)
        assert [(each.number, each.attempt) for each in seen] == [(0, 1), (1, 1), (2, 1)]
        subscriber.ack(seen, "all")
        while not subscriber.confirmed:
            seen += next(reads)
        assert (len(seen), subscriber.confirmed) == (3, 1)
