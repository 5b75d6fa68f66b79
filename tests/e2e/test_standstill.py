"""A server that stood still, as in a frozen container: who was in the middle of something does not notice."""

import os
import signal
import time

from tests.support.raw import RawHttp
from tests.support.server import running_server

TIMEOUT_S = 4.0


def test_who_sent_what_was_missing_while_the_server_stood_still_is_served():
    with running_server(
        CONDUIT_HEADER_TIMEOUT_S=f"{TIMEOUT_S}",
        CONDUIT_BODY_TIMEOUT_S=f"{TIMEOUT_S}",
        CONDUIT_SILENT_TIMEOUT_S=f"{TIMEOUT_S}",
    ) as server:
        missing = {
            b"": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHo": b"st: x\r\n\r\n",
            b"POST /api/topics HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{": b'"name":"t"}',
        }
        clients = {RawHttp(server.port): rest for rest in missing.values()}
        for client, begun in zip(clients, missing, strict=True):
            client.send(begun)
        probe = RawHttp(server.port)
        for _ in range(2):
            # A sweep has seen them.
            time.sleep(1.0)
            probe.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert probe.answer()[0] == 200
        os.kill(server.pid, signal.SIGSTOP)
        for client, rest in clients.items():
            client.send(rest)
        time.sleep(2 * TIMEOUT_S)
        os.kill(server.pid, signal.SIGCONT)
        probe.send(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert probe.answer()[0] == 200
        assert [client.answer()[0] for client in clients] == [200, 200, 201]
        server.logged("the process stood still")
        assert "not ready" not in server.log_text()
        for client in (*clients, probe):
            client.close()
