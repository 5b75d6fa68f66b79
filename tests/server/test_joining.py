"""What the server is called as a node; that it ends without a name is in tests/e2e/test_nodes.py."""

import signal
import socket

from conduit.environment import load_settings
from conduit.server import serving
from conduit.server.context import Context, Limits
from conduit.server.joining import make_node
from conduit.server.serving import Server
from tests.broker.kit import running_broker

HOST = socket.gethostname()


def made(port: int = 8081, **environ: str):
    return make_node(load_settings(environ), port, 1_000)


def test_without_a_name_it_is_the_machine_at_the_port_that_it_has():
    node = made()
    assert (node.name, node.node.address) == (HOST, f"{HOST}:8081")
    assert node._other_name == f"{HOST}-8081"
    assert node.view().started_at_ms == 1_000


def test_a_chosen_name_is_the_only_one():
    node = made(NODE_ID="a", NODE_ADDR="a.example:80")
    assert (node.name, node.node.address, node._other_name) == ("a", "a.example:80", None)
    assert made(NODE_ADDR=":80").node.address == f"{HOST}:80"


def test_without_a_name_and_without_a_log_in_common_it_has_the_port_behind_it_from_the_beginning():
    nodes = {"REDIS_URL": "redis://h", "INTERNAL_SECRET": "another-secret-of-nodes"}
    assert (made(**nodes).name, made(**nodes)._other_name) == (f"{HOST}-8081", None)
    assert made(**nodes, NODE_ID="a").name == "a"
    assert made(**nodes, DATABASE_URL="postgresql://h/d").name == HOST


async def test_a_server_that_stops_by_itself_goes_on_with_that_when_a_signal_comes(
    caplog, monkeypatch
):
    caplog.set_level("INFO")
    deadlines: list[float] = []
    monkeypatch.setattr(serving, "_end_within", deadlines.append)
    async with running_broker() as bench:
        context = Context(bench.broker, Limits())
        context.ready = True
        server = Server(context, stop_within_s=10, drain_delay_s=5)
        server.stop("a reason")
        server.stop("another one")
        assert (context.ready, context.is_stopping, server.should_exit) == (False, True, True)
        server._signalled(signal.SIGTERM)
        assert deadlines == [10]
        assert [line for line in caplog.messages if "stopping" in line] == ["a reason: stopping"]


async def test_it_is_not_ready_before_it_is_known_who_it_is():
    async with running_broker() as bench:
        context = Context(bench.broker, Limits())
        context.ready = True
        assert context.not_ready() is None
        context.node.is_settled = False
        assert context.not_ready().code == "unavailable"
