"""How the process stops; what clients see of it is in tests/e2e/test_shutdown.py."""

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from conduit.server import serving
from conduit.server.context import Context, Limits
from conduit.server.front import make_front
from conduit.server.serving import Server
from conduit.server.workers.places import Place
from conduit.server.workers.worker import Worker
from tests.broker.kit import running_broker
from tests.support.http import Api
from tests.support.raw import RawHttp, RawSocket
from tests.support.server import running_server
from tests.support.wait import until
from tests.support.ws import WsClient


class Connection:
    """A connection that notes when it is swept, or fails at it."""

    def __init__(self, fails: bool = False):
        self.fails = fails
        self.swept = []

    def sweep(self, now: float) -> None:
        self.swept.append(now)
        if self.fails:
            raise ZeroDivisionError


async def test_a_fault_of_one_connection_does_not_keep_the_others_from_being_swept(
    caplog, monkeypatch
):
    monkeypatch.setattr(serving, "SWEPT_MAX_S", 60.0)
    async with running_broker() as bench:
        context = Context(bench.broker, Limits())
        connections = [Connection(fails=number % 2 == 0) for number in range(10)]
        context.connections |= set(connections)
        server = Server(context, stop_within_s=10)
        server._sweep()
        server._sweep_timer.cancel()
        assert [len(connection.swept) for connection in connections] == [1] * 10
        assert "ZeroDivisionError" in caplog.text


async def test_of_very_many_connections_some_are_swept_in_each_turn_and_none_that_is_gone(
    monkeypatch,
):
    monkeypatch.setattr(serving, "SWEPT_SLICE_COUNT", 3)
    monkeypatch.setattr(serving, "SWEPT_MAX_S", 60.0)
    async with running_broker() as bench:
        context = Context(bench.broker, Limits())
        connections = [Connection() for _ in range(10)]
        context.connections |= set(connections)
        server = Server(context, stop_within_s=10)
        server._sweep()
        server._sweep_timer.cancel()
        assert sum(len(one.swept) for one in connections) == 3
        gone = next(one for one in connections if not one.swept)
        context.connections.discard(gone)
        for _ in range(4):
            await asyncio.sleep(0)
        assert gone.swept == []
        assert all(len(one.swept) == 1 for one in connections if one is not gone)


async def test_those_that_take_long_to_be_swept_are_fewer_in_a_turn(monkeypatch):
    monkeypatch.setattr(serving, "SWEPT_MAX_S", 0.0)
    async with running_broker() as bench:
        context = Context(bench.broker, Limits())
        connections = [Connection() for _ in range(5)]
        context.connections |= set(connections)
        server = Server(context, stop_within_s=10)
        server._sweep()
        server._sweep_timer.cancel()
        counts = []
        for _ in range(5):
            counts.append(sum(len(one.swept) for one in connections))
            await asyncio.sleep(0)
        assert counts == [1, 2, 3, 4, 5]


async def test_who_was_accepted_last_is_told_to_leave_as_all_others_are(caplog):
    caplog.set_level("INFO")
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        listening.setblocking(False)
        async with running_broker() as bench:
            context = Context(bench.broker, Limits())
            server = Server(context, stop_within_s=10)
            server.config.load()
            server.lifespan = server.config.lifespan_class(server.config)
            front = partial(make_front(context), server.config, server.server_state, {})
            made, some_are_accepted = [], asyncio.Event()

            def new():
                made.append(front())
                if len(made) == 2:
                    # By us; the first one was by the loop.
                    some_are_accepted.set()
                return made[-1]

            loop = asyncio.get_running_loop()
            server.servers = [await loop.create_server(new, sock=listening)]
            context.accepting.begin([listening], new)
            clients = [socket.create_connection(listening.getsockname()) for _ in range(20)]
            await some_are_accepted.wait()
            assert context.accepting._tasks
            await server.shutdown([listening])
            for client in clients:
                client.close()
    assert not context.connections
    assert "cut" not in caplog.text


@pytest.mark.e2e
def test_while_it_stops_the_server_is_alive_but_not_ready_and_accepts_nobody():
    with running_server() as server, RawSocket(server.port), RawHttp(server.port) as kept:
        server.send_signal(signal.SIGTERM)
        server.logged("stopping")
        kept.send(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, body = kept.answer()
        assert (status, json.loads(body)["code"]) == (503, "shutting_down")
        until(lambda: refuses(server.port))
        assert server.alive


@pytest.mark.e2e
def test_while_it_drains_new_connections_are_served_and_probes_see_that_it_stops():
    with running_server(CONDUIT_DRAIN_DELAY_S="600") as server:
        api = Api(server.url)
        api.create_topic("t")
        server.send_signal(signal.SIGTERM)
        until(lambda: api.get("/health/ready").status == 503)
        assert api.get("/health/ready").code == "shutting_down"
        assert api.publish("t", 1)["seq"] == 1
        with WsClient(server.ws_url) as client:
            client.subscribe("t")
        server.send_signal(signal.SIGTERM)
        code, seconds = server.wait()
        assert (code, seconds < 10) == (0, True)
        server.logged("SIGTERM: not ready any more, stopping in 600 s")


@pytest.mark.e2e
def test_what_has_drained_stops_by_itself():
    with running_server(CONDUIT_DRAIN_DELAY_S="0.2") as server:
        assert server.terminate()[0] == 0
        server.logged("drained: stopping")


@pytest.mark.e2e
def test_ctrl_c_waits_for_no_load_balancer():
    with running_server(CONDUIT_DRAIN_DELAY_S="600") as server:
        server.send_signal(signal.SIGINT)
        assert server.wait()[0] == 0


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.e2e
def test_a_second_signal_ends_the_process_at_once():
    with running_server() as server, RawSocket(server.port):
        server.send_signal(signal.SIGTERM)
        server.logged("stopping")
        server.send_signal(signal.SIGTERM)
        code, _ = server.wait()
        assert code == 1
        server.logged("SIGTERM again: exiting at once")


@pytest.mark.e2e
def test_of_two_signals_the_log_names_both():
    with running_server() as server, RawSocket(server.port):
        server.send_signal(signal.SIGTERM)
        server.logged("stopping")
        server.send_signal(signal.SIGINT)
        assert server.wait()[0] == 1
        server.logged("SIGINT after SIGTERM: exiting at once")


@pytest.mark.e2e
def test_a_server_whose_terminal_is_closed_stops_in_order_however_often_it_is_told():
    with running_server() as server, RawSocket(server.port):
        server.send_signal(signal.SIGHUP)
        server.logged("SIGHUP: stopping")
        server.send_signal(signal.SIGHUP)
        # As the system does that ends the session.
        server.send_signal(signal.SIGTERM)
        assert server.wait()[0] == 0


@pytest.mark.e2e
def test_under_nohup_it_goes_on():
    with running_server(preexec=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as server:
        server.send_signal(signal.SIGHUP)
        Api(server.url).create_topic("t")
        assert server.terminate()[0] == 0
        assert "SIGHUP" not in server.log_text()


@pytest.mark.e2e
def test_a_short_time_to_stop_is_kept_even_with_a_silent_client():
    with (
        running_server() as patient,
        running_server(CONDUIT_SHUTDOWN_TIMEOUT_S="1") as server,
        RawSocket(patient.port),
        RawSocket(server.port),
    ):
        patient.send_signal(signal.SIGTERM)
        code, _ = server.terminate()
        assert code in (0, 1)
        assert patient.alive


@pytest.fixture
def worker() -> Iterator[Worker]:
    with socket.socket() as channel:
        yield Worker(1, Place("127.0.0.1", 9001, "127.0.0.1", None), channel, tells=False)


@pytest.mark.parametrize("way", ["ordered, heard", "heard, ordered", "heard, heard"])
async def test_of_a_worker_a_signal_that_came_to_all_processes_counts_once(
    way, worker, monkeypatch, caplog
):
    monkeypatch.setattr(serving, "_end_within", lambda _: None)
    async with running_broker() as bench:
        server = Server(Context(bench.broker, Limits()), stop_within_s=10, worker=worker)
        take = {"ordered": server.ordered, "heard": server._heard}
        first, second = way.split(", ")
        take[first](signal.SIGTERM)
        assert server.should_exit
        # Another one would end the process.
        take[second](signal.SIGTERM)
        assert "again" not in caplog.text


async def test_of_a_worker_the_second_order_is_a_second_signal(worker, monkeypatch):
    monkeypatch.setattr(serving, "_end_within", lambda _: None)
    async with running_broker() as bench:
        context = Context(bench.broker, Limits())
        server = Server(context, stop_within_s=10, drain_delay_s=60, worker=worker)
        server.ordered(signal.SIGTERM)
        assert not server.should_exit
        server.ordered(signal.SIGTERM)
        assert server.should_exit
