"""nginx and Caddy as they are shipped, in front of two nodes: TLS, WebSockets, large bodies."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from websockets.sync.client import connect

from conduit.environment import load_settings
from tests.support.http import Api
from tests.support.nodes import has_link
from tests.support.server import RunningServer, free_port, running_server
from tests.support.wait import DEADLINE_S, until
from tools.deploy import proxies
from tools.deploy.proxies import Ports

ROOT = Path(__file__).resolve().parents[2]
# nginx reads no answer and no frame for longer than this, unless it is told otherwise.
NGINX_IDLE_S = 60

process = pytest.mark.process


class Front(NamedTuple):
    """A proxy that runs."""

    ports: Ports
    trusted: ssl.SSLContext

    def request(
        self, method: str, path: str, body: object = None, *, plain: bool = False
    ) -> tuple[int, bytes, dict[str, str]]:
        if plain:
            made = http.client.HTTPConnection("127.0.0.1", self.ports.http, timeout=DEADLINE_S)
        else:
            made = http.client.HTTPSConnection(
                "localhost", self.ports.https, timeout=DEADLINE_S, context=self.trusted
            )
        with closing(made) as connection:
            content = None if body is None else json.dumps(body).encode()
            headers = {"Content-Type": "application/json", "Host": "localhost"}
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())


@pytest.fixture(scope="module")
def nodes(cluster) -> Iterator[list[RunningServer]]:
    url = cluster.create_database("behind_proxies")
    with ExitStack() as stack:
        made = []
        for name in ("one", "two"):
            port = str(free_port())
            own = {"NODE_ID": name, "PORT": port, "NODE_ADDR": f"127.0.0.1:{port}"}
            secret = {"INTERNAL_SECRET": "of-nodes-behind-proxies"}
            made.append(stack.enter_context(running_server(DATABASE_URL=url, **own, **secret)))
        until(lambda: all(has_link(Api(each.url)) for each in made))
        yield made


@contextmanager
def _running(
    write: Callable[..., list[str]], nodes: list[RunningServer], folder: Path
) -> Iterator[Front]:
    proxies.certify(folder)
    ports = Ports(free_port(), free_port())
    command = write(ROOT, folder, ports, [node.port for node in nodes])
    front = Front(ports, ssl.create_default_context(cafile=str(folder / proxies.CERTIFICATE)))
    with (folder / "log").open("wb") as log:
        environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PATH": "/usr/bin:/bin"}
        started = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: _is_ready(front, started, folder / "log"))
        yield front
    finally:
        started.terminate()
        started.wait(DEADLINE_S)


def _is_ready(front: Front, started: subprocess.Popen[bytes], log: Path) -> bool:
    assert started.poll() is None, log.read_text()
    try:
        return front.request("GET", "/health/ready")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(request, nodes, tmp_path_factory) -> Iterator[Front]:
    if proxies.found(request.param) is None:
        assert request.param != "nginx", "nginx is missing: make services installs it"
        pytest.skip("Caddy is not installed")
    write = {"nginx": proxies.nginx, "caddy": proxies.caddy}[request.param]
    with _running(write, nodes, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@process
def test_what_is_published_over_https_comes_over_wss(front, nodes):
    Api(nodes[0].url).create_topic("orders")
    until(lambda: Api(nodes[1].url).get("/api/topics/orders").status == 200)
    url = f"wss://localhost:{front.ports.https}/ws"
    with ExitStack() as stack:
        sockets = []

        def at_both() -> bool:
            # A proxy leaves out a node for a while that once was slow to answer.
            sockets.append(stack.enter_context(connect(url, ssl=front.trusted, proxy=None)))
            sockets[-1].send('{"type":"subscribe","topic":"orders","ack":"auto"}')
            assert json.loads(sockets[-1].recv(DEADLINE_S))["type"] == "subscribed"
            return all(_websockets(node) > 0 for node in nodes)

        until(at_both)
        status, _, headers = front.request(
            "POST", "/api/publish", {"topic": "orders", "payload": 7}
        )
        assert status == 200
        assert (
            "max-age"
            in {name.lower(): text for name, text in headers.items()}["strict-transport-security"]
        )
        for socket in sockets:
            assert json.loads(socket.recv(DEADLINE_S))["payload"] == 7
    Api(nodes[0].url).delete("/api/topics/orders")


def _websockets(node: RunningServer) -> int:
    found = re.search(
        rb"^conduit_websockets (\S+)$", Api(node.url).get("/metrics").body, re.MULTILINE
    )
    assert found is not None
    return int(float(found[1]))


@process
def test_a_body_as_large_as_a_node_takes_is_passed_on(front, nodes):
    """nginx refuses what is larger than 1 MiB, unless it is told otherwise."""
    epoch = Api(nodes[0].url).create_topic("large")["epoch"]
    # The other node may know one of before, which is gone.
    other = Api(nodes[1].url)
    until(lambda: other.get("/api/topics/large").json.get("epoch") == epoch)
    messages = [{"topic": "large", "payload": "x" * 250_000} for _ in range(32)]

    def is_stored() -> bool:
        status, body, _ = front.request("POST", "/api/publish/batch", {"messages": messages})
        # A busy machine may take longer for so much than a publish may.
        assert status in (200, 503), body
        return status == 200 and len(json.loads(body)["results"]) == 32

    assert until(is_stored)
    Api(nodes[0].url).delete("/api/topics/large")


@process
def test_what_nodes_say_to_each_other_comes_from_no_client(front):
    for path in ("/internal/link", "/internal/forward"):
        for spelled in (path, f"/{path}", path.replace("i", "%69", 1), f"/api/..{path}"):
            assert front.request("GET", spelled)[0] == 404, spelled


@process
def test_who_speaks_without_tls_is_not_served(front):
    status, _, headers = front.request("GET", "/ui/", plain=True)
    assert status == 308
    assert headers["Location"].startswith("https://localhost")
    status, _, _ = front.request(
        "POST", "/api/publish", {"topic": "orders", "payload": 1}, plain=True
    )
    assert status in (308, 403)


def test_a_websocket_may_be_idle_for_longer_than_nginx_waits_by_itself():
    text = (ROOT / proxies.NGINX / "locations.conf").read_text()
    (block,) = re.findall(r"location = /ws \{(.*?)\n\}", text, re.DOTALL)
    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        (hours,) = re.findall(rf"{name} (\d+)h;", block)
        assert int(hours) * 3600 > NGINX_IDLE_S
    assert re.search(r"proxy_set_header Upgrade \$http_upgrade;", block)


def test_connections_that_are_kept_end_at_the_proxy_before_they_do_at_a_node():
    """Else a publish meets one that is being closed, and is answered with 502."""
    kept_s = load_settings({}).keep_alive_s
    nginx = re.findall(
        r"keepalive_timeout (\d+)s;", (ROOT / proxies.NGINX / "nodes.conf").read_text()
    )
    caddy = re.findall(r"\tkeepalive (\d+)s\n", (ROOT / proxies.CADDY).read_text())
    assert [int(each) < kept_s for each in (*nginx, *caddy)] == [True, True]
