"""`conduit serve --workers`: several nodes on one port, and who sees to it that they are there."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from conduit.core.restarts import ENDS_MAX_COUNT
from tests.support.http import Api
from tests.support.server import RunningServer, clean_environment, free_port, running_server
from tests.support.wait import POLL_S, until
from tests.support.ws import WsClient, payloads

_numbers = count(1)
COUNT = 2
# What the supervisor says when a worker is there.
SERVES = r"worker (\d) serves: process (\d+), node (\S+) at \S+:(\d+)"
STARTED = "all 2 workers serve"


@pytest.fixture
def url(cluster) -> str:
    return cluster.create_database(f"workers_{next(_numbers)}")


class Workers:
    """A supervisor, and its workers as its log tells of them."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server

    def told(self) -> list[tuple[str, ...]]:
        return re.findall(SERVES, self.server.log_text())

    def pid(self, number: int) -> int:
        """Of the process that is this worker now, or was it last."""
        return [int(pid) for at, pid, _, _ in self.told() if at == str(number)][-1]

    def pids(self) -> list[int]:
        """Of all that have ever been workers."""
        return [int(pid) for _, pid, _, _ in self.told()]

    def api(self, number: int) -> Api:
        """At the address of one worker alone."""
        port = next(port for at, _, _, port in self.told() if at == str(number))
        return Api(f"http://127.0.0.1:{port}")

    def starts(self, number: int) -> int:
        """How often this worker was there."""
        return sum(at == str(number) for at, _, _, _ in self.told())

    def published(self, number: int) -> float:
        """How many messages this worker has taken."""
        text = self.api(number).get("/metrics").body.decode()
        found = re.search(r"^conduit_published_total (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


@contextmanager
def workers(url: str, **settings: str) -> Iterator[Workers]:
    """All of them serve; none is there any more at the end."""
    with running_server(
        DATABASE_URL=url, CONDUIT_WORKERS=str(COUNT), CONDUIT_LOG_FORMAT="text", **settings
    ) as server:
        found = Workers(server)
        server.logged(STARTED)
        try:
            yield found
        finally:
            if server.alive:
                server.terminate()
        until(lambda: not any(is_there(pid) for pid in found.pids()))
        assert "Traceback" not in server.log_text()


def is_there(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        # One that nobody has waited for.
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    return False


def links(found: Workers) -> int:
    nodes = found.api(1).get("/api/nodes").json["nodes"]
    own = next(node for node in nodes if node["is_this"])
    return sum(link["state"] == "up" for link in own["links"])


# Serving ------------------------------------------------------------------------------------------


def test_what_is_published_over_many_connections_reaches_subscribers_of_every_worker_in_one_order(
    url,
):
    with workers(url) as found, ExitStack() as stack:
        until(lambda: links(found) == 1)
        api = Api(found.server.url)
        api.create_topic("t")
        clients = [stack.enter_context(WsClient(found.server.ws_url)) for _ in range(8)]
        for client in clients:
            client.subscribe("t", ack="auto")
        # Each on a connection of its own, which is at whichever worker the kernel has chosen.
        for n in range(200):
            api.publish("t", n)
        frames = [client.messages(200) for client in clients]
        assert all(payloads(some) == [*range(200)] for some in frames)
        taken = [found.published(number) for number in (1, 2)]
        assert sum(taken) == 200
        assert min(taken) > 20
        code, seconds = found.server.terminate()
        assert (code, seconds < 10) == (0, True)
        assert all(client.closed()[0] == 1012 for client in clients)


def test_the_secret_of_their_links_was_made_up_and_is_in_no_environment(url):
    with workers(url) as found:
        until(lambda: links(found) == 1)
        for pid in found.pids():
            assert b"INTERNAL_SECRET" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_the_supervisor_has_one_thread_and_a_ctrl_c_of_the_terminal_for_itself(url):
    with workers(url) as found:
        status = Path(f"/proc/{found.server.pid}/status").read_text()
        # What is forked beside other threads may have their locks.
        assert "\nThreads:\t1\n" in status
        assert all(os.getsid(pid) == pid for pid in found.pids())


def test_one_worker_tells_how_all_are_set_and_makes_the_first_key(url):
    with workers(
        url, ENABLE_AUTH="true", CONDUIT_ADMIN_KEY_FILE="first-key", CONDUIT_ADMIN_PORT="0"
    ) as found:
        log = found.server.log_text()
        assert (found.server.directory / "first-key").read_text().startswith("ck_")
        for once in ("schema version 1 (", "Conduit 0.1.0 listens on", "the first admin key is in"):
            assert log.count(once) == 1, once
        places = re.findall(r"for operators at http://127\.0\.0\.1:(\d+)", log)
        assert len(set(places)) == COUNT
        for port in places:
            metrics = Api(f"http://127.0.0.1:{port}").get("/metrics")
            assert (metrics.status, b"conduit_nodes" in metrics.body) == (200, True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def test_with_an_address_they_have_the_ports_from_there_on(url):
    # Where no connection gets its own port from.
    ports = iter(random.sample(range(20_000, 32_000), 100))
    first = next(port for port in ports if _is_free(port) and _is_free(port + 1))
    with workers(url, NODE_ID="east", NODE_ADDR=f"localhost:{first}") as found:
        told = [(name, int(port)) for _, _, name, port in found.told()]
        assert told == [("east-1", first), ("east-2", first + 1)]
        for number in (1, 2):
            health = Api(f"http://127.0.0.1:{first + number - 1}").get("/health").json
            assert health["node_id"] == f"east-{number}"


# Ends ---------------------------------------------------------------------------------------------


def test_when_a_worker_is_killed_the_other_one_serves_and_it_comes_back(url):
    with workers(url) as found:
        until(lambda: links(found) == 1)
        api = Api(found.server.url)
        api.create_topic("t")
        with WsClient(f"ws://127.0.0.1:{found.api(1).port}/ws") as client:
            client.subscribe("t", ack="auto")
            before = found.pid(2)
            os.kill(before, signal.SIGKILL)
            acked = []
            for n in range(100):
                # It was at the one that is gone, or is not.
                with suppress(OSError):
                    api.publish("t", n)
                    acked.append(n)
            until(lambda: found.starts(2) == 2)
            assert len(acked) >= 90
            got = payloads(client.messages(len(acked)))
            assert set(acked) <= set(got)
        assert found.pid(2) != before
        assert found.starts(1) == 1
        log = found.server.log_text()
        assert re.search(
            rf"worker 2 \(process {before}\) was killed \(SIGKILL.* again in 0\.\d s", log
        )
        until(lambda: found.api(2).get("/health/ready").status == 200)
        found.server.send_signal(signal.SIGINT)
        assert found.server.wait()[0] == 0


def test_a_worker_that_was_told_alone_to_end_is_started_again(url):
    with workers(url) as found:
        os.kill(found.pid(2), signal.SIGTERM)
        until(lambda: found.starts(2) == 2)
        found.server.logged("worker 2")
        assert found.server.terminate()[0] == 0


def test_when_no_worker_stays_up_it_is_given_up_with_an_error(url):
    with workers(url) as found:
        killed: set[int] = set()
        while found.server.alive:
            for pid in set(found.pids()) - killed:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(POLL_S)
        assert found.server.wait()[0] == 1
        found.server.logged("no worker stays up: worker")
        assert max(found.starts(1), found.starts(2)) >= ENDS_MAX_COUNT


def test_when_the_supervisor_is_killed_its_workers_end_in_order(url):
    with workers(url) as found, WsClient(found.server.ws_url) as client:
        found.server.kill()
        assert client.closed()[0] == 1012
        until(lambda: not any(is_there(pid) for pid in found.pids()))
        found.server.logged("the supervisor is gone: stopping")


def test_a_signal_that_comes_to_all_processes_at_once_is_one_signal(url):
    """As systemd does it."""
    with workers(url) as found:
        for pid in (*found.pids(), found.server.pid):
            os.kill(pid, signal.SIGTERM)
        assert found.server.wait()[0] == 0
        assert "at once" not in found.server.log_text()


def test_a_second_signal_ends_the_delay_for_load_balancers_of_all(url):
    with workers(url, CONDUIT_DRAIN_DELAY_S="600") as found:
        found.server.send_signal(signal.SIGTERM)
        for number in (1, 2):
            until(lambda number=number: found.api(number).get("/health/ready").status == 503)
        found.server.send_signal(signal.SIGTERM)
        code, seconds = found.server.wait()
        assert (code, seconds < 10) == (0, True)


def test_a_terminal_that_is_closed_and_the_end_of_its_session_are_one_signal(url):
    """Workers have their whole delay, which is longer than what they would be left with at once."""
    with workers(url, CONDUIT_DRAIN_DELAY_S="8", CONDUIT_SHUTDOWN_TIMEOUT_S="1") as found:
        found.server.send_signal(signal.SIGHUP)
        until(lambda: found.api(1).get("/health/ready").status == 503)
        found.server.send_signal(signal.SIGTERM)
        assert found.server.wait()[0] == 0
        assert "killed" not in found.server.log_text()


def test_a_worker_that_hangs_does_not_hold_up_the_end(url):
    with workers(url, CONDUIT_SHUTDOWN_TIMEOUT_S="1") as found:
        os.kill(found.pid(2), signal.SIGSTOP)
        assert found.server.terminate()[0] == 1
        found.server.logged("did not stop within CONDUIT_SHUTDOWN_TIMEOUT_S")


# Refusals -----------------------------------------------------------------------------------------


def refused(*options: str, **settings: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "conduit", "serve", *options],
        env=clean_environment(CONDUIT_HOST="127.0.0.1", **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("settings", "why"),
    [({}, "in the memory of one process"), ({"DATABASE_URL": "sqlite:///c.db"}, "the SQLite file")],
)
def test_without_postgresql_it_is_refused_with_the_reason_and_what_to_do(settings, why):
    code, said = refused("--workers", "2", **settings)
    assert code == 2
    (line,) = said.splitlines()
    assert line.startswith("error: CONDUIT_WORKERS above 1 needs PostgreSQL")
    assert why in line
    assert "set DATABASE_URL to postgresql://…, or leave" in line


def test_a_port_that_is_taken_is_one_error_also_if_it_is_another_supervisors(url):
    with workers(url) as found:
        port = str(found.server.port)
        assert refused("--workers", "2", PORT=port, DATABASE_URL=url) == (
            1,
            f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n",
        )
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            own = taken.getsockname()[1]
            address = f"127.0.0.1:{own}"
            code, said = refused("--workers", "2", PORT="0", DATABASE_URL=url, NODE_ADDR=address)
            assert (code, said) == (
                1,
                f"error: cannot listen on {address}: Address already in use\n",
            )


def test_a_store_that_is_away_is_one_error_and_its_exit_code():
    url = f"postgresql://x@127.0.0.1:{free_port()}/x"
    code, said = refused("--workers", "2", PORT="0", DATABASE_URL=url)
    assert code == 6
    assert said.count("error: ") == 1


def test_a_name_that_another_node_has_ends_all_with_the_reason(url):
    with workers(url, NODE_ID="east"):
        code, said = refused("--workers", "2", PORT="0", DATABASE_URL=url, NODE_ID="east")
        assert code == 2
        assert said.count("error: NODE_ID: east-1 is the name of another node") == 1
