"""The server on PostgreSQL: what it refuses to start on, and what its users see when the database hangs."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from itertools import count

import pytest

from tests.support import forkserver
from tests.support.http import Api
from tests.support.postgres import USER, Cluster, binary
from tests.support.server import RunningServer, clean_environment, running_server
from tests.support.wait import until
from tests.support.ws import WsClient, payloads

STORES = ["postgres"]
SECRET = "s3cr3t-value"
_numbers = count(1)


@pytest.fixture
def url(cluster):
    """A new database."""
    return cluster.create_database(f"alone_{next(_numbers)}")


def conduit(*args: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return forkserver.run(["conduit", *args], clean_environment(**settings), timeout=60)


def database_of(url: str) -> str:
    return url.rpartition("/")[2]


# Starting -----------------------------------------------------------------------------------------


def test_health_shows_what_durability_rests_on(api):
    store = api.get("/health").json["store"]
    assert (store["kind"], store["durable"]) == ("postgresql", True)
    assert {store[name] for name in ("fsync", "full_page_writes", "synchronous_commit")} == {"on"}


def test_a_schema_that_is_too_new_is_refused_with_a_sentence(cluster, url):
    assert conduit("migrate", "up", DATABASE_URL=url).returncode == 0
    cluster.sql("INSERT INTO conduit.migrations VALUES (99, 99)", database_of(url))
    for args in (("serve",), ("migrate", "status"), ("migrate", "up")):
        done = conduit(*args, DATABASE_URL=url, PORT="0")
        assert done.returncode != 0
        assert "schema version 99" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_schema_that_is_newer_and_still_works_is_served(cluster, url):
    assert conduit("migrate", "up", DATABASE_URL=url).returncode == 0
    cluster.sql("INSERT INTO conduit.migrations VALUES (99, 1)", database_of(url))
    with running_server(DATABASE_URL=url) as server:
        Api(server.url).create_topic("t")


def test_a_database_that_is_not_there_ends_the_start_without_a_secret(cluster):
    url = f"postgresql://conduit:{SECRET}@127.0.0.1:{cluster.port}/missing"
    done = conduit("serve", DATABASE_URL=url, PORT="0")
    assert done.returncode == 6
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"error: 127.0.0.1:{cluster.port}/missing: the database does not exist")
    assert line.endswith(" (code store_unavailable)")
    assert SECRET not in done.stdout + done.stderr


def test_migrations_are_listed_applied_and_printed(cluster, url):
    pending = json.loads(conduit("migrate", "status", DATABASE_URL=url).stdout)
    assert {row["state"] for row in pending} == {"pending"}
    applied = conduit("migrate", "up", "--database-url", url)
    assert applied.returncode == 0
    assert applied.stderr.splitlines() == [f"applied {r['version']} {r['name']}" for r in pending]
    assert conduit("migrate", "up", DATABASE_URL=url).stderr == "nothing to apply\n"
    done = json.loads(conduit("migrate", "status", DATABASE_URL=url).stdout)
    assert [row["state"] for row in done] == ["applied"] * len(pending)


def test_the_printed_sql_makes_the_same_schema(cluster, url):
    by_hand = cluster.create_database(f"alone_{next(_numbers)}")
    script = conduit("migrate", "sql").stdout
    # By the role that owns the tables then.
    cluster.sql(f"SET ROLE {USER}; {script}", database_of(by_hand))
    conduit("migrate", "up", DATABASE_URL=url)
    dumps = [
        subprocess.run(
            [binary("pg_dump"), "--schema-only", "--restrict-key=x", "-d", each],
            check=False,
            capture_output=True,
            text=True,
        )
        for each in (by_hand, url)
    ]
    assert dumps[0].stdout == dumps[1].stdout
    assert conduit("migrate", "up", DATABASE_URL=by_hand).stderr == "nothing to apply\n"
    assert conduit("migrate", "sql", "--from", "99").returncode == 2


def test_migrate_is_for_postgresql():
    done = conduit("migrate", "status", DATABASE_URL="sqlite:///x.db")
    assert done.returncode == 2
    assert "postgresql://" in done.stderr


def test_two_servers_on_one_database_say_so_and_say_when_it_is_over(url):
    with running_server(DATABASE_URL=url) as one:

        def servers() -> int:
            return Api(one.url).get("/health").json["store"]["servers"]

        with running_server(DATABASE_URL=url) as two:
            for server in (one, two):
                until(lambda log=server.log_text: "2 servers use this log" in log())
            assert servers() == 2
        until(lambda: servers() == 1)
        one.logged("alone again")
        one.restart()
        one.logged("listens on")
        assert one.log_text().count("servers use this log") == 1


# Through a pooler ---------------------------------------------------------------------------------


def test_everything_works_through_a_pooler_in_transaction_mode(pgbouncer, url):
    with running_server(DATABASE_URL=pgbouncer.url(database_of(url))) as server:
        api = Api(server.url)
        assert api.get("/health").json["store"]["pooler"] is True
        with WsClient(server.ws_url) as ws:
            ws.subscribe("t", subscription="s")
            api.publish_many("t", list(range(100)))
            frames = ws.messages(100)
            assert payloads(frames) == list(range(100))
            ws.send({"type": "ack", "topic": "t", "seq": 100, "subscription": "s", "ref": "r"})
            ws.receive("acked", ref="r")
        server.restart()
        assert api.subscription("s")["topics"][0]["floor"] == 100
        assert len(api.browse("t")) == 100


# A database that hangs ----------------------------------------------------------------------------


@contextlib.contextmanager
def locked(cluster: Cluster, url: str) -> Iterator[None]:
    """Nobody can append meanwhile: the commit of whoever tries waits."""
    command = [binary("psql"), "-X", "-q", "-d", url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as psql:
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write("SET conduit.tenant = '*';\n")
        psql.stdin.write("BEGIN; SELECT 'locked' FROM conduit.topics FOR UPDATE;\n")
        psql.stdin.flush()
        while "locked" not in psql.stdout.readline():
            pass
        try:
            yield
        finally:
            psql.stdin.close()
            psql.wait()


@pytest.fixture
def impatient(url) -> Iterator[RunningServer]:
    with running_server(DATABASE_URL=url, CONDUIT_PUBLISH_TIMEOUT_S="2") as server:
        yield server


def test_a_commit_that_hangs_is_answered_and_found_when_it_is_over(cluster, url, impatient):
    api = Api(impatient.url)
    with WsClient(impatient.ws_url) as live, WsClient(impatient.ws_url) as durable:
        live.subscribe("t")
        durable.subscribe("t", subscription="s")
        body = {"topic": "t", "payload": 1, "idempotency_key": "k"}
        with locked(cluster, url):
            answer = api.post("/api/publish", body)
            assert (answer.status, answer.code) == (503, "outcome_unknown")
            assert answer.headers["retry-after"]
            # From now on nobody waits.
            answer = api.post("/api/publish", {"topic": "t", "payload": 2})
            assert (answer.status, answer.code) == (503, "store_unavailable")
            assert api.post("/api/publish", body).code == "outcome_unknown"
            live.send({"type": "publish", "topic": "t", "payload": 3, "ref": "p"})
            assert live.receive("error", ref="p")["code"] == "store_unavailable"
            live.barrier()
            durable.barrier()
        assert payloads(live.messages(1)) == [1]
        assert payloads(durable.messages(1)) == [1]
        until(lambda: api.post("/api/publish", body).status == 200)
        receipt = api.post("/api/publish", body).json
        assert (receipt["seq"], receipt["duplicate"]) == (1, True)
        assert api.publish("t", 4)["seq"] == 2


def test_a_database_that_goes_and_comes_back_costs_503_and_no_connection():
    own = Cluster()
    try:
        own.start()
        with running_server(DATABASE_URL=own.create_database()) as server:
            api = Api(server.url)
            with WsClient(server.ws_url) as ws:
                ws.subscribe("t", subscription="s")
                api.publish("t", 1)
                ws.ack(ws.messages(1)[0])
                own.stop()
                answer = api.post("/api/publish", {"topic": "t", "payload": 2})
                assert (answer.status, answer.code) == (503, "store_unavailable")
                assert api.get("/health").status == 200
                assert api.get("/health/ready").code == "store_unavailable"
                own.start()
                until(lambda: api.get("/health/ready").status == 200)
                assert api.publish("t", 3)["seq"] == 2
                assert payloads(ws.messages(1)) == [3]
            assert "Traceback" not in server.log_text()
    finally:
        own.remove()
