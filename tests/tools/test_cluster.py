"""`make cluster`: what it starts works together, what dies comes back, and nothing is left of it."""

from __future__ import annotations

import fcntl
import http.client
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.http import Api
from tests.support.server import clean_environment
from tests.support.wait import until
from tests.support.ws import WsClient, payloads
from tests.tools.running_cluster import ROOT, RunningCluster, alive
from tools.cluster.__main__ import main
from tools.cluster.folder import opened
from tools.cluster.parts import DEPLOY, HERE, at_port, of_nodes

process = pytest.mark.process
COLUMNS = 80


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Iterator[RunningCluster]:
    """Three nodes, for all tests here."""
    made = RunningCluster(tmp_path_factory.mktemp("cluster") / "said")
    made.wait_until_ready()
    yield made
    made.end_at_once()


@pytest.fixture
def started(tmp_path) -> Iterator[list[RunningCluster]]:
    """Those of one test, so that none is left."""
    made: list[RunningCluster] = []
    yield made
    for each in made:
        each.end_at_once()


@pytest.fixture
def kept() -> Iterator[Path]:
    """A folder that is not there yet, where whoever runs PostgreSQL for root comes to."""
    folder = Path(tempfile.mkdtemp(prefix="conduit-kept-"))
    folder.rmdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def readme() -> list[str]:
    """The commands of the README's section, in its order."""
    text = (ROOT / "README.md").read_text()
    section = re.search(r"^## A cluster on your machine\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert section is not None
    return re.findall(r"```sh\n(.*?)\n```", section[1], re.DOTALL)


# Working together -------------------------------------------------------------------------------------


@process
def test_the_demonstration_of_the_readme_works_word_for_word(three, tmp_path):
    make, subscribe, publish = readme()
    recipe = subprocess.run(
        ["make", "--dry-run", *make.split()[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "-m tools.cluster --port '8080' --nodes '3'" in recipe.stdout
    ports = {f":{8080 + n}": f":{three.rows[f'node-{n}'].port}" for n in (1, 2)}
    commands = [
        re.sub(":808[12]", lambda found: ports[found[0]], each) for each in (subscribe, publish)
    ]
    # It prints the same.
    assert all(f"  {each}\n" in three.said() for each in commands)
    conduit = str(Path(sys.executable).with_name("conduit"))
    subscribe, publish = (each.replace(".venv/bin/conduit", f"exec {conduit}") for each in commands)
    api = Api(three.rows["node-1"].where)
    received = tmp_path / "received"
    options = {"env": clean_environment(), "cwd": ROOT}
    with received.open("wb") as file:
        subscriber = subprocess.Popen(["sh", "-c", subscribe], stdout=file, **options)
    try:
        until(lambda: api.get("/api/topics/demo").status == 200)
        until(lambda: api.topic("demo")["subscriber_count"] == 1)
        subprocess.run(["sh", "-c", publish], check=True, capture_output=True, **options)
        until(lambda: '{"hello":"world"}' in received.read_text().replace(" ", ""))
    finally:
        subscriber.send_signal(signal.SIGINT)
        subscriber.wait()


@process
def test_through_nginx_clients_are_spread_over_all_nodes(three):
    front = three.rows["nginx"]
    api = Api(front.where)
    api.create_topic("spread")
    url = f"ws://127.0.0.1:{front.port}/ws"
    nodes = {name: row for name, row in three.rows.items() if name.startswith("node-")}
    with ExitStack() as stack:
        clients: list[WsClient] = []

        def everywhere() -> bool:
            # nginx leaves out a node for a while that once was slow to answer.
            clients.extend(stack.enter_context(WsClient(url)) for _ in range(3))
            return min(_websockets(row.port) for row in nodes.values()) >= 1

        until(everywhere)
        for client in clients:
            client.subscribe("spread", ack="auto")
        for number in range(9):
            assert api.publish("spread", number)["seq"] == number + 1
        for client in clients:
            assert payloads(client.messages(9)) == [*range(9)]
            assert client.request("publish", topic="spread", payload="x")["type"] == "published"


def _websockets(port: int) -> int:
    text = Api(f"http://127.0.0.1:{port}").get("/metrics").body.decode()
    found = re.search(r"^conduit_websockets (\S+)$", text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


@process
def test_what_nodes_say_to_each_other_is_not_to_be_had_through_nginx(three):
    front, node = three.rows["nginx"].port, three.rows["node-1"].port
    for path in ("/internal/link", "/internal/forward"):
        # It is there, for those who prove that they are nodes.
        assert _status(node, path) != 404
        for spelled in (path, f"/{path}", path.replace("i", "%69", 1), f"/api/..{path}"):
            assert _status(front, spelled) == 404, spelled


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


@process
def test_nginx_takes_what_a_node_takes_and_leaves_it_to_the_node_to_refuse_more(three):
    front = Api(three.rows["nginx"].where)
    front.create_topic("large")
    messages = [{"topic": "large", "payload": "x" * 250_000} for _ in range(32)]
    assert front.post("/api/publish/batch", {"messages": messages}).status == 200
    answers = [
        Api(three.rows[name].where).post("/api/publish/batch", {"messages": messages * 2})
        for name in ("nginx", "node-1")
    ]
    assert [(each.status, each.code) for each in answers] == [(413, answers[1].code)] * 2


# Dying and ending ---------------------------------------------------------------------------------------


@process
def test_when_a_node_is_killed_the_others_go_on_and_it_comes_back(three):
    node, front = three.rows["node-2"], three.rows["nginx"]
    api = Api(front.where)
    api.create_topic("killed")
    lives = three.lives("node-2")
    with WsClient(f"ws://127.0.0.1:{three.rows['node-1'].port}/ws") as client:
        client.subscribe("killed", ack="auto")
        os.kill(lives[-1], signal.SIGKILL)
        until(lambda: not _listens(node.port))
        for number in range(20):
            assert api.publish("killed", number)["seq"] == number + 1
        assert payloads(client.messages(20)) == [*range(20)]
    until(lambda: len(three.lives("node-2")) > len(lives))
    assert three.said().count("node-2 has ended (SIGKILL)") == len(lives)
    assert Api(node.where).get("/health").json["node_id"] == "node-2"


@process
def test_nginx_that_is_killed_comes_back_without_the_workers_that_it_had(three):
    lives = three.lives("nginx")
    workers = {
        pid for pid in three.processes() if Path(f"/proc/{pid}/comm").read_text() == "nginx\n"
    }
    os.kill(lives[-1], signal.SIGKILL)
    until(lambda: len(three.lives("nginx")) > len(lives))
    assert not alive(workers)
    assert Api(three.rows["nginx"].where).get("/health/ready").status == 200


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@process
def test_after_ctrl_c_nothing_is_left(tmp_path, started):
    started.append(made := RunningCluster(tmp_path / "said", "--nodes", "2"))
    made.wait_until_ready()
    folder, pids = made.folder, made.processes()
    # nginx has workers, PostgreSQL has its own.
    assert len(pids) > len(made.rows) == 5
    environment = Path(f"/proc/{made.rows['node-1'].pid}/environ").read_bytes().split(b"\0")
    (secret,) = (each[16:] for each in environment if each.startswith(b"INTERNAL_SECRET="))
    said = [path.read_bytes() for path in folder.rglob("*") if path.suffix in (".log", ".conf")]
    assert len(secret) > 30
    assert not [text for text in said if secret in text]
    with WsClient(f"ws://127.0.0.1:{made.rows['nginx'].port}/ws") as client:
        client.subscribe("t", ack="auto")
        made.process.send_signal(signal.SIGINT)
        # The node says so, through nginx, which ends after it.
        assert client.closed()[0] == 1012
    assert made.process.wait(30) == 0
    assert not alive(pids)
    assert not folder.exists()
    assert secret.decode() not in made.said()
    assert "\x1b" not in made.output.read_text()


@process
def test_a_second_ctrl_c_ends_it_at_once_and_leaves_as_little(tmp_path, started):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    made = RunningCluster(tmp_path / "said", "--nodes", "1", **terminal, preexec_fn=_take_terminal)
    started.append(made)
    os.close(theirs)
    reader = threading.Thread(target=_copy, args=(ours, made.output))
    reader.start()
    made.wait_until_ready()
    folder, pids = made.folder, made.processes()
    os.kill(made.rows["node-1"].pid, signal.SIGSTOP)
    os.write(ours, b"\x03")
    until(lambda: "once more" in made.said())
    os.write(ours, b"\x03")
    assert made.process.wait(30) == 130
    reader.join()
    os.close(ours)
    assert not alive(pids)
    assert not folder.exists()
    assert "\x1b[" in made.output.read_text()
    assert max(map(len, made.said().splitlines())) <= COLUMNS


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY)


def _copy(source: int, target: Path) -> None:
    with target.open("ab", buffering=0) as file, suppress(OSError):
        while data := os.read(source, 65536):
            file.write(data)


@process
def test_while_it_starts_it_can_be_ended_as_well(tmp_path, started):
    started.append(made := RunningCluster(tmp_path / "said"))
    until(lambda: len(made.processes()) >= 3)
    pids = made.processes()
    assert made.end() == 0
    assert not alive(pids | made.processes())
    assert "ready after" not in made.said()
    assert "ended after" in made.said()


@process
@pytest.mark.parametrize(
    "is_killed", [False, True], ids=["in order", "at once after it was killed"]
)
def test_what_is_kept_is_there_when_it_is_started_again(kept, tmp_path, started, is_killed):
    for number in range(2):
        made = RunningCluster(tmp_path / f"said-{number}", "--nodes", "1", "--keep", str(kept))
        started.append(made)
        made.wait_until_served()
        api = Api(made.rows["nginx"].where)
        if number == 0:
            api.create_topic("kept")
        assert api.publish("kept", number)["seq"] == number + 1
        if is_killed:
            made.process.kill()
            made.process.wait()
        else:
            assert made.end() == 0
            assert str(kept) in made.said().splitlines()[-1]
    assert is_killed or not [*kept.rglob(".s.PGSQL*"), *kept.rglob("*.pid")]


# Without a process --------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said_before_anything_is_started(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--port", str(port - 2)]) == 1
        said = capsys.readouterr()
        assert str(port) in said.err
        assert said.err.endswith("make cluster PORT=9000\n")
        assert not said.out
        # What was asked for besides stays.
        assert main(["--port", str(port - 2), "--nodes", "2"]) == 1
    assert capsys.readouterr().err.endswith("make cluster PORT=9000 NODES=2\n")


def test_who_has_asked_for_keys_does_so_until_it_is_told_otherwise(kept):
    for auth, asks in (
        (None, False),
        ("true", True),
        (None, True),
        ("false", False),
        (None, False),
    ):
        with opened(kept) as place:
            assert place.asks_for_keys(auth) is asks


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", "0"], "cluster: NODES is '0', and must be 1 to 16: make cluster NODES=3\n"),
        (
            ["--auth", "yes"],
            "cluster: AUTH is 'yes', and must be true or false: make cluster AUTH=true\n",
        ),
        (["--nodes", "x"], "cluster: NODES is 'x', and must be 1 to 16: make cluster NODES=3\n"),
        (
            ["--port", "65535"],
            "cluster: PORT is '65535', and must be 0 to 65532: make cluster PORT=8080\n",
        ),
    ],
)
def test_a_wrong_number_is_said_by_the_name_that_make_has_for_it(arguments, said, capsys):
    assert main(arguments) == 1
    assert capsys.readouterr().err == said


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis").write_text("mine")
    assert main(["--port", "0", "--keep", str(tmp_path)]) == 1
    assert "choose a new folder" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == [tmp_path / "thesis"]


def test_the_configuration_of_nginx_is_what_it_is_but_for_the_ports():
    text = (DEPLOY / "nodes.conf").read_text()
    assert of_nodes(text, [8081, 8082, 8083]) == text
    other = of_nodes(text, [9001, 9002])
    assert re.findall(r"127\.0\.0\.1:(\d+)", other) == ["9001", "9002"]
    of_servers = re.compile(r"(?m)^ +server 127.*\n")
    assert of_servers.sub("", other) == of_servers.sub("", text)
    text = (HERE / "nginx.conf").read_text()
    assert at_port(text, 8080) == text
    assert at_port(text, 9000) == text.replace(":8080;", ":9000;")
