"""`conduit store backup`, `check` and `compact` on the database of a server, under load and without it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from tests.support import forkserver
from tests.support.http import Api
from tests.support.server import clean_environment, running_server
from tests.support.wait import until

SIZE = 2_000
THREADS_COUNT = 4
# Batches of 4 MB, so that some of them are in the database and some in its WAL.
MANY = 6


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "log.db"


def store(*args: object, database: Path) -> subprocess.CompletedProcess[str]:
    env = clean_environment(DATABASE_URL=f"sqlite:///{database}")
    return forkserver.run(["conduit", "store", *map(str, args)], env, timeout=60)


class Load:
    """Publishers, each with a topic of its own; and what they were answered."""

    def __init__(self, url: str) -> None:
        self.acked = [0] * THREADS_COUNT
        self.refused: list[int] = []
        self.stop = threading.Event()
        self._api = Api(url)
        for number in range(THREADS_COUNT):
            self._api.create_topic(f"t{number}")
        self.threads = [
            threading.Thread(target=self._publish, args=(number,))
            for number in range(THREADS_COUNT)
        ]

    def _publish(self, number: int) -> None:
        body = {"topic": f"t{number}", "payload": "x" * SIZE}
        while not self.stop.is_set():
            answer = self._api.post("/api/publish", body)
            if answer.status == 200:
                self.acked[number] = answer.json["seq"]
            else:
                self.refused.append(answer.status)


@contextmanager
def publishing(url: str) -> Iterator[Load]:
    load = Load(url)
    for thread in load.threads:
        thread.start()
    try:
        yield load
    finally:
        load.stop.set()
        for thread in load.threads:
            thread.join()


def test_a_backup_under_load_is_one_moment_and_holds_up_nobody(path, tmp_path):
    with running_server(DATABASE_URL=f"sqlite:///{path}") as server, publishing(server.url) as load:
        until(lambda: min(load.acked) > 50)
        before = list(load.acked)
        for number in range(3):
            done = store("backup", tmp_path / f"backup{number}.db", database=path)
            assert done.returncode == 0, done.stderr
        checked = store("check", database=path)
        assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr
        during = list(load.acked)
    assert load.refused == []
    assert all(during[n] > before[n] for n in range(THREADS_COUNT)), "publishers went on"
    for number in range(3):
        backup = tmp_path / f"backup{number}.db"
        assert store("check", database=backup).stderr == f"{backup} is whole\n"
    with running_server(DATABASE_URL=f"sqlite:///{backup}") as restored:
        api = Api(restored.url)
        for number in range(THREADS_COUNT):
            topic = api.get(f"/api/topics/t{number}").json
            assert before[number] <= topic["last_seq"] <= load.acked[number]


@pytest.mark.parametrize("work", ["backup", "check"])
@pytest.mark.parametrize("lost", [("-wal", "-shm"), ("-wal",)])
@pytest.mark.parametrize("count", [1, MANY])
def test_a_database_whose_wal_was_removed_is_not_whole_until_its_server_has_ended(
    path, tmp_path, work, lost, count
):
    backup = tmp_path / "backup.db"
    command = [work, backup] if work == "backup" else [work]
    with running_server(DATABASE_URL=f"sqlite:///{path}") as server:
        api = Api(server.url)
        api.create_topic("t")
        batch = {"messages": [{"topic": "t", "payload": "x" * 40_000}] * 100}
        for _ in range(count):
            assert api.post("/api/publish/batch", batch).status == 200
        api.publish("t", "the last one")
        for ending in lost:
            path.with_name(path.name + ending).unlink()
        # The second time SQLite has made others.
        for _ in range(2 if len(lost) > 1 else 1):
            refused = store(*command, database=path)
            assert refused.returncode == 6, refused
            assert f"error: {path}: " in refused.stderr
            assert "Stop the server with SIGTERM, which saves that" in refused.stderr
            assert not backup.exists()
        server.terminate()
    done = store(*command, database=path)
    assert done.returncode == 0, done
    found = apsw.Connection(str(backup if work == "backup" else path))
    assert found.execute("SELECT last_seq FROM topics").fetchall() == [(count * 100 + 1,)]
    found.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the file itself is locked there only")
def test_a_database_that_was_moved_from_its_server_is_not_backed_up_without_its_wal(path, tmp_path):
    moved, backup = tmp_path / "moved.db", tmp_path / "backup.db"
    with running_server(DATABASE_URL=f"sqlite:///{path}") as server:
        api = Api(server.url)
        api.create_topic("t")
        api.publish("t", 1)
        path.rename(moved)
        for command in (["backup", backup], ["check"], ["compact", "--yes"]):
            refused = store(*command, database=moved)
            assert refused.returncode == 6, refused
            assert "move it back with its -wal" in refused.stderr
        assert not backup.exists()
        moved.rename(path)
        assert store("backup", backup, database=path).returncode == 0
    # What no server uses needs none.
    assert store("check", database=backup).returncode == 0


def test_room_is_given_back_while_the_server_runs_and_health_and_metrics_say_how_much(path):
    settings = {"CONDUIT_RETENTION_INTERVAL_S": "0.1"}
    with running_server(DATABASE_URL=f"sqlite:///{path}", **settings) as server:
        api = Api(server.url)
        api.create_topic("t")
        batch = {"messages": [{"topic": "t", "payload": "x" * 200_000} for _ in range(40)]}
        for _ in range(5):
            assert api.post("/api/publish/batch", batch).status == 200
        assert path.stat().st_size + path.with_name("log.db-wal").stat().st_size > 40_000_000
        assert api.delete("/api/topics/t").status == 204
        until(lambda: path.stat().st_size < 20_000_000)
        sizes = api.get("/health").json["store"]
        assert {"size_bytes", "free_bytes", "wal_bytes", "disk_free_bytes"} <= sizes.keys()
        metrics = api.get("/metrics").body.decode()
        for name in ("size", "free", "wal", "disk_free"):
            assert f"\nconduit_store_{name}_bytes " in metrics


def test_compacting_is_for_a_server_that_is_stopped(path):
    with running_server(DATABASE_URL=f"sqlite:///{path}") as server:
        api = Api(server.url)
        api.create_topic("t")
        assert api.publish("t", 1)["seq"] == 1
        refused = store("compact", "--yes", database=path)
        assert refused.returncode != 0
        assert "another Conduit server is using" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert api.publish("t", 2)["seq"] == 2
        server.terminate()
        done = store("compact", "--yes", database=path)
        assert done.returncode == 0, done.stderr
        assert " had " in done.stderr
        server.start()
        assert api.publish("t", 3)["seq"] == 3


def test_a_damaged_database_is_told_with_an_exit_code_of_its_own(path):
    with running_server(DATABASE_URL=f"sqlite:///{path}") as server:
        api = Api(server.url)
        api.create_topic("t")
        for _ in range(20):
            api.publish("t", "x" * SIZE)
        server.terminate()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size - 8 * 4_096)
        file.write(b"\xff" * 8 * 4_096)
    done = store("check", database=path)
    assert done.returncode == 9, done
    assert done.stdout.startswith("the file is damaged: ")
    assert f"{path} is not whole" in done.stderr


@pytest.mark.parametrize(
    "command", [["check"], ["backup", "copy.db"], ["compact", "--yes"], ["restore", "--yes"]]
)
def test_a_file_that_is_no_database_at_all_is_named(command, path):
    path.write_bytes(b"rubbish" * 10_000)
    done = store(*command, database=path)
    assert done.returncode == 6, done
    assert f"error: {path}: the database file is not a SQLite database" in done.stderr


@pytest.mark.parametrize("command", ["compact", "trust", "restore"])
def test_a_file_that_is_no_database_of_conduit_is_refused_and_stays_as_it_is(command, path):
    path.touch()
    done = store(command, "--yes", database=path)
    assert done.returncode == 6, done
    assert f"{path} is not a database of Conduit" in done.stderr
    assert path.read_bytes() == b""
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_backup_that_is_told_to_end_leaves_nothing(path, tmp_path, number):
    with running_server(DATABASE_URL=f"sqlite:///{path}") as server:
        server.terminate()
    # It waits for the lock, and has begun its file.
    holder = apsw.Connection(str(path))
    holder.execute("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").fetchall()
    backups = tmp_path / "backups"
    backups.mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "conduit", "store", "backup", str(backups / "b.db")],
        env=clean_environment(DATABASE_URL=f"sqlite:///{path}"),
    )
    until(lambda: any(backups.iterdir()))
    running.send_signal(number)
    assert running.wait(60) == 130
    assert not any(backups.iterdir())
    holder.close()
