"""The nodes of the compose file and of Kubernetes, with what these files tell them, as processes here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.access import ADMIN_KEY_FILE, Guarded, Signed
from tests.support.http import Api
from tests.support.nodes import has_link
from tests.support.postgres import ADMIN, Cluster, binary
from tests.support.redis import RedisServer
from tests.support.server import clean_environment, free_port, running_server
from tests.support.wait import until
from tests.support.ws import WsClient, payloads
from tools.deploy import settings

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    made = RedisServer()
    made.start()
    yield made
    made.remove()


def here(environment: dict[str, str], database_url: str, redis_url: str) -> dict[str, str]:
    """The same, but for the names of other machines."""
    port = str(free_port())
    places = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    assert places.keys() <= environment.keys()
    return {**environment, **places, "PORT": port, "NODE_ADDR": f"127.0.0.1:{port}"}


def composed(cluster: Cluster) -> str:
    """The database that PostgreSQL's container makes, under another name; its URL, with the password."""
    (init,) = (ROOT / "deploy" / "postgres").iterdir()
    script = init.read_text().replace("conduit", "composed")
    command = [
        binary("psql"),
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        cluster.url("postgres", ADMIN),
    ]
    # One that SQL would read as more than a password.
    password = 'it\'s; "$1"'
    environment = clean_environment(POSTGRES_PASSWORD=password)
    subprocess.run(command, input=script, env=environment, check=True, text=True)
    found = cluster.sql(
        "SELECT rolsuper, rolbypassrls, rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'composed'"
    )
    assert found == "f|f|t"
    return cluster.url("composed", "composed")


def test_what_is_published_at_one_node_of_the_compose_file_comes_to_the_other(cluster, redis):
    made = settings.of_compose(ROOT, {})
    url = composed(cluster)
    one, two = (here(made[name], url, redis.url) for name in settings.NODES)
    with running_server(**one) as first, running_server(**two) as second:
        here_api, there_api = Api(first.url), Api(second.url)
        until(lambda: has_link(there_api))
        health = here_api.get("/health").json
        assert health["cluster"]["registry"]["status"] == "ok"
        assert health["store"]["row_level_security"] == "on"
        with WsClient(first.ws_url) as client:
            client.subscribe("orders")
            # Of the other node, which Redis tells of.
            until(lambda: there_api.topic("orders")["subscriber_count"] == 1)
            there_api.publish("orders", {"total": 42})
            assert payloads(client.messages(1)) == [{"total": 42}]


def test_a_pod_that_ends_is_drained_before_and_ends_in_time(cluster, redis, tmp_path):
    """preStop, then SIGTERM, as a kubelet does it; paths and addresses are those of here."""
    pod = settings.stateful_set(ROOT)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    found = settings.of_kubernetes(ROOT)
    of_all = {"INTERNAL_SECRET": "chosen-for-the-nodes", **{k: v for k, v in found.items() if v}}
    assert float(of_all["CONDUIT_DRAIN_DELAY_S"]) > 0
    # What a load balancer needs; there is none.
    of_all |= {"CONDUIT_DRAIN_DELAY_S": "0.2", "DATABASE_URL": "", "REDIS_URL": ""}
    url = cluster.create_database("of_kubernetes")
    first, second = (
        here({**of_all, "NODE_ID": f"conduit-{number}"}, url, redis.url) for number in (0, 1)
    )
    first["CONDUIT_ADMIN_KEY_FILE"] = ADMIN_KEY_FILE
    with running_server(**first) as leaving, running_server(**second) as staying:
        key = leaving.directory / ADMIN_KEY_FILE
        operator = Guarded(leaving).operator
        until(lambda: has_link(operator))
        with operator.socket() as client:
            client.subscribe("orders", subscription="billing")
            ended = _prestop(container, leaving.env, tmp_path / "none", leaving.url)
            # Without the key it is left out.
            assert (ended.returncode, ended.stdout) == (0, "")
            assert operator.get("/health/ready").status == 200
            ended = _prestop(container, leaving.env, key, leaving.url)
            assert ended.returncode == 0, ended.stderr
            assert operator.get("/health/ready").code == "draining"
            assert client.closed()[0] == 1012
        there = Signed(staying.url, operator.key)
        route = there.get("/api/route", subscription="billing").json["subscription"]
        assert route["node"] == "conduit-1"
        code, took_s = leaving.terminate()
        assert code == 0
        assert took_s < pod["terminationGracePeriodSeconds"]
        assert there.get("/health/ready").status == 200


def _prestop(
    container: dict, environment: dict[str, str], key: Path, url: str
) -> subprocess.CompletedProcess[str]:
    mount = next(
        each["mountPath"] for each in container["volumeMounts"] if each["name"] == "operator"
    )
    command = [
        word.replace(f"{mount}/operator-key", str(key)).replace("conduit node", "$CONDUIT node")
        for word in container["lifecycle"]["preStop"]["exec"]["command"]
    ]
    assert any(str(key) in word for word in command)
    program = str(Path(sys.executable).with_name("conduit"))
    own = {"NODE_ID": environment["NODE_ID"], "CONDUIT_URL": url, "CONDUIT": program}
    return subprocess.run(
        command, env=clean_environment(**own), capture_output=True, text=True, check=False
    )
