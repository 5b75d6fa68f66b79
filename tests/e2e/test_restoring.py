"""A backup that is taken while publishers run, and put back: whoever comes back is told the truth."""

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.test_postgres import conduit, database_of
from tests.support.http import Api
from tests.support.postgres import Cluster, binary, of_all_tenants
from tests.support.server import RunningServer, running_server
from tests.support.wait import until
from tests.support.ws import WsClient

STORES = ["sqlite", "postgres"]
_numbers = count(1)


class Sqlite:
    """A database file, and what docs/backup.md says about it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "conduit.db"
        self.backup = directory / "backup.db"
        self.url = f"sqlite:///{self.path}"

    def back_up(self) -> None:
        done = conduit("store", "backup", str(self.backup), DATABASE_URL=self.url)
        assert done.returncode == 0, done.stderr

    def put_back(self) -> None:
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        shutil.copy(self.backup, self.path)


class Postgres:
    """A database of a cluster, and what docs/backup.md says about it."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self.url = cluster.create_database(f"restored_{next(_numbers)}")
        self.backup = directory / "backup.dump"

    def back_up(self) -> None:
        url = of_all_tenants(self.url)
        self._run("pg_dump", "--enable-row-security", "-Fc", "-d", url, "-f", str(self.backup))

    def put_back(self) -> None:
        self._cluster.sql("DROP SCHEMA conduit CASCADE", database_of(self.url))
        self._run("pg_restore", "-d", self.url, str(self.backup))
        # As if half a minute had passed since a server used it.
        self._cluster.sql("DELETE FROM conduit.leases", database_of(self.url))

    def _run(self, *command: str) -> None:
        subprocess.run([binary(command[0]), *command[1:]], check=True, capture_output=True)


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    if request.param == "sqlite":
        return Sqlite(tmp_path)
    return Postgres(request.getfixturevalue("cluster"), tmp_path)


@contextlib.contextmanager
def publishing(url: str) -> Iterator[Callable[[], int]]:
    """Publishers at work; gives how many messages were acked so far."""
    acked = count()
    done, seen = threading.Event(), [0]

    def publish() -> None:
        api = Api(url)
        while not done.is_set():
            api.publish_many("t", [seen[0]] * 3)
            seen[0] = next(acked)

    threads = [threading.Thread(target=publish) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: seen[0]
    finally:
        done.set()
        for thread in threads:
            thread.join()


def backed_up_under_load(server: RunningServer, store: Sqlite | Postgres) -> dict[str, int | str]:
    """What a client knows at the end: a position, and what it has acked."""
    api = Api(server.url)
    api.create_topic("t")
    with WsClient(server.ws_url) as ws:
        ws.subscribe("t", subscription="s", max_in_flight=10_000)
        with publishing(server.url) as acked_count:
            until(lambda: acked_count() > 20)
            store.back_up()
            before = acked_count()
            until(lambda: acked_count() > before + 20)
        last_seq = api.topic("t")["last_seq"]
        ws.messages(last_seq)
        ws.send({"type": "ack", "topic": "t", "seq": last_seq, "subscription": "s", "ref": "r"})
        ws.receive("acked", ref="r")
    return {"seq": last_seq, "epoch": api.topic("t")["epoch"]}


def assert_told(server: RunningServer, known: dict[str, int | str]) -> None:
    """Whoever comes back hears that the numbering is another one, and gets what there is."""
    api = Api(server.url)
    topic = api.topic("t")
    assert topic["epoch"] != known["epoch"]
    restored = topic["last_seq"]
    assert 0 < restored < known["seq"]
    # Until the numbers that the client knows are given again.
    while api.publish_many("t", ["another"] * 500)[-1]["seq"] <= known["seq"]:
        pass
    with WsClient(server.ws_url) as ws:
        ws.send({"type": "subscribe", "topic": "t", "start": known, "ref": "x"})
        assert ws.receive("subscribed", ref="x")["recovered"] is False
        gap = ws.receive("gap")
        assert (gap["from_seq"], gap["to_seq"]) == (known["seq"], None)
        assert (gap["reason"], gap["epoch"]) == ("epoch_changed", topic["epoch"])
        assert ws.receive("message")["seq"] == 1
    with WsClient(server.ws_url) as ws:
        ws.subscribe("t", subscription="s")
        gap = ws.receive("gap")
        assert (gap["reason"], gap["epoch"]) == ("epoch_changed", topic["epoch"])
        assert ws.receive("message")["seq"] == gap["from_seq"] <= restored + 1


def test_a_restored_copy_is_noticed_at_start_and_nobody_is_told_that_nothing_is_missing(store):
    with running_server(DATABASE_URL=store.url) as server:
        known = backed_up_under_load(server, store)
        server.kill()
        store.put_back()
        server.start()
        server.logged("taken for a restored copy")
        assert_told(server, known)
        epoch = Api(server.url).topic("t")["epoch"]
        server.restart()
        assert Api(server.url).topic("t")["epoch"] == epoch
        assert server.log_text().count("taken for a restored copy") == 1


def test_what_cannot_be_noticed_is_told_by_the_operator(store):
    with running_server(DATABASE_URL=store.url) as server:
        known = backed_up_under_load(server, store)
        refused = conduit("store", "restore", "--yes", DATABASE_URL=store.url)
        assert refused.returncode != 0
        assert "using" in refused.stderr
        server.terminate()
        store.put_back()
        if isinstance(store, Sqlite):
            # As on a disk that was set back as a whole.
            store.path.with_name("conduit.db.mark").unlink()
        trusted = conduit("store", "trust", "--yes", DATABASE_URL=store.url)
        assert trusted.returncode == 0, trusted.stderr
        again = conduit("store", "trust", "--yes", DATABASE_URL=store.url)
        assert "there was nothing to do" in again.stderr
        asked = conduit("store", "restore", DATABASE_URL=store.url)
        assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
        restored = conduit("store", "restore", "--yes", DATABASE_URL=store.url)
        assert "1 topic got new epochs; 1 durable subscription will be told" in restored.stderr
        server.start()
        assert "taken for a restored copy" not in server.log_text()
        assert_told(server, known)


def test_what_is_trusted_keeps_its_epochs(store):
    with running_server(DATABASE_URL=store.url) as server:
        known = backed_up_under_load(server, store)
        server.terminate()
        if isinstance(store, Postgres):
            store.back_up()
        else:
            shutil.copy(store.path, store.backup)
        store.put_back()
        if isinstance(store, Sqlite):
            store.path.with_name("conduit.db.mark").unlink()
        trusted = conduit("store", "trust", "--yes", DATABASE_URL=store.url)
        assert trusted.returncode == 0, trusted.stderr
        server.start()
        topic = Api(server.url).topic("t")
        assert (topic["epoch"], topic["last_seq"]) == (known["epoch"], known["seq"])
        assert "taken for a restored copy" not in server.log_text()


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    done = conduit("store", "restore", "--yes", DATABASE_URL=f"sqlite:///{tmp_path}/typo.db")
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert not (tmp_path / "typo.db").exists()
    done = conduit("store", "trust", "--yes")
    assert (done.returncode, "in memory" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["trust", "restore"])
def test_a_database_of_postgresql_without_our_schema_is_refused_and_gets_none(command, cluster):
    url = cluster.create_database(f"restored_{next(_numbers)}")
    done = conduit("store", command, "--yes", DATABASE_URL=url)
    assert done.returncode == 6, done
    assert "it is not a database of Conduit" in done.stderr
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'conduit'"
    assert cluster.sql(schemas, database_of(url)) == "0"
