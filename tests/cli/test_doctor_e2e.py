"""`conduit doctor` beside real servers and databases."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import click
import pytest

from conduit.cli.checks import postgres
from conduit.cli.exits import Exit
from tests.cli.command import Conduit, Done
from tests.cli.terminal import Terminal
from tests.support import secrets
from tests.support.http import Api
from tests.support.postgres import ADMIN, Cluster
from tests.support.redis import RedisServer
from tests.support.server import RunningServer, free_port

pytestmark = pytest.mark.process

PASSWORD = "a-password-that-nobody-sees"


def doctor(*args: str, **env: str) -> Done:
    """What it finds of this machine, with this environment."""
    command = Conduit("")
    command.env |= {"CONDUIT_HOST": "127.0.0.1", "PORT": str(free_port()), **env}
    secrets.register(PASSWORD)
    return command.run("doctor", *args)


def by_check(done: Done) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for each in done.json["checks"]:
        found.setdefault(each["check"], []).append(each)
    return found


def state_of(folder: Path) -> dict[str, tuple[str, int, int]]:
    return {
        path.name: (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in folder.iterdir()
    }


def test_it_changes_nothing_of_a_database_that_a_server_has_left_or_that_was_killed(
    server: RunningServer, api: Api, topic: str, tmp_path: Path
) -> None:
    """The copies are those that a kill would leave, and one without the `-wal`."""
    api.create_topic(topic)
    api.publish_many(topic, [1, 2, 3])
    api.create_topic(f"{topic}-2")
    for name in ("killed", "left"):
        (tmp_path / name).mkdir()
        for path in server.directory.glob("conduit.db*"):
            shutil.copy2(path, tmp_path / name)
    for path in (tmp_path / "left").glob("*-*"):
        path.unlink()
    for name in ("killed", "left"):
        before = state_of(tmp_path / name)
        done = doctor(DATABASE_URL=f"sqlite:///{tmp_path / name / 'conduit.db'}")
        assert state_of(tmp_path / name) == before
        assert "database" in by_check(done)
    killed = by_check(doctor(DATABASE_URL=f"sqlite:///{tmp_path / 'killed' / 'conduit.db'}"))
    assert "-wal" in str(killed["database"])


def test_of_a_server_that_runs_it_says_that_it_uses_its_file_and_its_port(
    server: RunningServer,
) -> None:
    path = server.directory / "conduit.db"
    done = doctor(DATABASE_URL=f"sqlite:///{path}", PORT=str(server.port))
    found = by_check(done)
    assert (done.code, done.json["failures"]) == (Exit.OK, 0)
    assert "is using" in found["server"][0]["seen"]
    assert "taken by a Conduit" in found["port"][0]["seen"]


def test_a_server_by_its_address_is_looked_at_alone(server: RunningServer) -> None:
    done = Conduit(server.url).ok("doctor", "--url", server.url)
    found = by_check(done)
    assert {each["of"] for some in found.values() for each in some} == {
        f"The server at {server.url}"
    }
    for check in ("ready", "store", "authentication"):
        assert found[check][0]["status"] == "ok", found[check]


def test_both_are_looked_at_where_variables_name_a_server_and_set_one(
    server: RunningServer,
) -> None:
    command = Conduit(server.url)
    command.env |= {"PORT": str(free_port()), "CONDUIT_HOST": "127.0.0.1"}
    parts = {each["of"] for each in command.run("doctor").json["checks"]}
    assert len(parts) == 2
    here = {each["of"] for each in command.run("doctor", "--here").json["checks"]}
    assert len(here) == 1
    # A desk is no server, and says nothing against one.
    desk = {each["of"] for each in Conduit(server.url).run("doctor").json["checks"]}
    assert desk == parts - here
    assert command.run("doctor", "--here", "--url", server.url).code == Exit.USAGE


def test_what_does_not_answer_or_refuses_is_a_failure_and_no_password_is_shown() -> None:
    port = free_port()
    done = doctor(
        DATABASE_URL=f"postgresql://conduit:{PASSWORD}@127.0.0.1:{port}/conduit",
        REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{port}",
        INTERNAL_SECRET=PASSWORD,
        CONDUIT_MAX_TOPICS="many",
    )
    found = by_check(done)
    assert done.code == Exit.CHECK_FAILED
    assert PASSWORD not in done.out + done.err
    for check in ("settings", "PostgreSQL", "Redis"):
        assert found[check][0]["status"] == "failure"
    assert "nobody listens there" in found["PostgreSQL"][0]["seen"]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, RedisServer]]:
    cluster, redis = Cluster(), RedisServer()
    try:
        cluster.start()
        redis.start()
        yield cluster, redis
    finally:
        cluster.remove()
        redis.remove()


def test_postgresql_and_redis_are_asked_and_postgresql_stays_empty(
    databases: tuple[Cluster, RedisServer],
) -> None:
    cluster, redis = databases
    url = cluster.create_database("doctor")
    done = doctor(DATABASE_URL=url, REDIS_URL=redis.url, INTERNAL_SECRET=os.urandom(32).hex())
    found = by_check(done)
    for check in ("PostgreSQL", "migrations", "durability", "clock", "Redis"):
        assert [each["status"] for each in found[check]] == ["ok"], found[check]
    tables = "SELECT count(*) FROM pg_namespace WHERE nspname = 'conduit'"
    assert cluster.sql(tables, "doctor").strip() == "0"
    assert redis.ask("DBSIZE") == 0
    gone = doctor(DATABASE_URL=url.replace("doctor", "no-such"))
    assert "does not exist" in by_check(gone)["PostgreSQL"][0]["seen"]


async def test_connections_of_other_roles_are_counted_by_one_without_rights(
    databases: tuple[Cluster, RedisServer],
) -> None:
    cluster, _ = databases
    url = cluster.create_database("counted")
    other = await asyncpg.connect(cluster.url("counted", ADMIN))
    try:
        found = await postgres.look(url)
    finally:
        await other.close()
    assert found.connection_count >= 2


@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal_it_fits(server: RunningServer, columns: int) -> None:
    with Terminal(server.url, "doctor", "--url", server.url, columns=columns) as terminal:
        code, shown = terminal.end()
    lines = click.unstyle(shown).splitlines()
    assert code == Exit.OK
    assert max(map(len, lines)) <= columns
    assert "\x1b[32m" in shown
    assert any(line.startswith("ok ") for line in lines)
    with Terminal(server.url, "doctor", "--url", server.url, NO_COLOR="1") as terminal:
        assert "\x1b[" not in terminal.end()[1]


def test_json_lines_are_one_for_each_finding(server: RunningServer) -> None:
    done = Conduit(server.url).ok("doctor", "--url", server.url, "-o", "jsonl")
    assert {"of", "check", "status", "seen", "do"} == set(json.loads(done.out.splitlines()[0]))
