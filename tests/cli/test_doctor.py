"""What `conduit doctor` makes of what it has seen; nothing is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from conduit.cli.checks import finding, machine, own, postgres, redis, sqlite
from conduit.cli.checks.finding import (
    FINDINGS_MAX_COUNT,
    Check,
    Finding,
    failure,
    in_thread,
    ok,
    run,
)
from conduit.environment import load_settings, usable_settings
from conduit.errors import StoreUnavailable

STRONG = "0123456789abcdef0123456789abcdef"


def statuses(found: list[Finding]) -> list[tuple[str, str]]:
    return [(each.check, each.status) for each in found]


def of(found: list[Finding], check: str) -> list[str]:
    return [each.status for each in found if each.check == check]


# How checks are run --------------------------------------------------------------------------------


async def test_a_check_that_fails_hangs_or_has_a_fault_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "CHECK_TIMEOUT_S", 0.05)

    async def refused() -> list[Finding]:
        raise StoreUnavailable("the disk is full")

    async def hangs() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    async def faulty() -> list[Finding]:
        raise KeyError("x")

    async def good() -> list[Finding]:
        return [ok("good", "it is")]

    found = await run(
        [Check("a", refused), Check("b", hangs), Check("c", faulty), Check("good", good)]
    )
    assert statuses(found) == [
        ("a", "failure"),
        ("b", "failure"),
        ("c", "failure"),
        ("good", "ok"),
    ]


async def test_of_many_findings_the_worst_are_shown_and_that_there_are_more() -> None:
    async def many() -> list[Finding]:
        return [*(ok("a", str(n)) for n in range(FINDINGS_MAX_COUNT)), failure("b", "x", "y")]

    found = await run([Check("many", many)])
    assert len(found) == FINDINGS_MAX_COUNT
    assert [each.status for each in found[-2:]] == ["failure", "not looked at"]
    assert found[-1].seen.startswith("2 more")


async def test_what_rests_on_a_setting_that_cannot_be_used_is_not_called_good() -> None:
    async def good() -> list[Finding]:
        return [ok("port", "free")]

    (found,) = await run([Check("port", good, ("PORT",))], {"PORT"})
    assert (found.status, "PORT" in found.seen) == ("not looked at", True)


async def test_no_finding_steers_a_terminal_or_has_a_secret() -> None:
    async def hostile() -> list[Finding]:
        return [failure("x", "\x1b]0;owned\x07 postgresql://u:hunter2!@h/d", "\x9b31m")]

    (found,) = await run([Check("x", hostile)])
    assert found.seen == "\\x1b]0;owned\\x07 postgresql://u:…@h/d"
    assert found.do == "\\x9b31m"


async def test_what_blocks_in_a_thread_gives_its_result_or_its_error() -> None:
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(FileNotFoundError):
        await in_thread(lambda: Path("/nonexistent/x").read_text())


# This machine --------------------------------------------------------------------------------------


def test_all_problems_of_settings_are_told_and_the_rest_of_them_is_used() -> None:
    found = usable_settings({"PORT": "http", "CONDUIT_DATABASE_URL": "x", "NODE_ID": "n1"})
    assert len(found.problems) == 2
    assert {"PORT", "DATABASE_URL"} <= found.unusable
    assert found.settings is not None
    assert found.settings.node_id == "n1"
    assert [each.status for each in own.settings(found.problems, ())] == ["failure", "failure"]


def test_a_name_that_is_misspelt_is_a_warning_with_the_right_one() -> None:
    settings = load_settings({"CONDUIT_HOTS": "x"})
    (found,) = own.settings((), settings.warnings)
    assert (found.status, "CONDUIT_HOST?" in found.seen) == ("warning", True)


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, "failure"),
        ({"CONDUIT_HOST": "127.0.0.1"}, "ok"),
        ({"CONDUIT_HOST": "::1"}, "ok"),
        ({"CONDUIT_HOST": "events.example"}, "failure"),
        ({"ENABLE_AUTH": "true"}, "ok"),
    ],
)
def test_no_authentication_fails_where_others_reach_the_port(
    environ: dict[str, str], status: str
) -> None:
    assert of(own.access(load_settings(environ)), "authentication") == [status]


def test_any_page_may_call_is_a_warning_where_no_key_is_asked_for() -> None:
    assert of(own.access(load_settings({})), "browsers") == ["warning"]
    named = load_settings({"CORS_ORIGIN": "https://app.example"})
    assert of(own.access(named), "browsers") == ["ok"]


@pytest.mark.parametrize(
    ("secret", "status"),
    [(STRONG, "ok"), ("short-but-allowed", "warning"), ("a" * 40, "warning"), ("", "ok")],
)
def test_a_secret_of_nodes_is_judged_and_not_shown(secret: str, status: str) -> None:
    (found,) = own.secret(
        load_settings({"DATABASE_URL": "postgresql://h/d", "INTERNAL_SECRET": secret})
    )
    assert found.status == status
    assert not secret or secret not in f"{found.seen}{found.do}"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["ok"]),
        ({"has_folder": False}, ["failure"]),
        ({"may_make": False}, ["failure"]),
        ({"may_write": False}, ["failure"]),
        ({"mode": 0o644}, ["warning"]),
        ({"owner": 1000, "own": 0}, ["warning"]),
        ({"exists": False}, ["ok"]),
    ],
)
def test_rights_of_a_database_file(changed: dict[str, Any], expected: list[str]) -> None:
    whole = sqlite.Place(Path("/d/c.db"), True, True, True, True, True, 0o600, 5, 5)
    assert [each.status for each in sqlite.judge_place(whole._replace(**changed))] == expected


@pytest.mark.parametrize(
    ("free", "status"), [(10**10, "ok"), (5 * 10**8, "warning"), (10**7, "failure")]
)
def test_room_on_the_disk(free: int, status: str) -> None:
    assert sqlite.judge_room(Path("/d"), free, 10**11).status == status


def test_a_file_system_of_the_network_fails_and_one_in_memory_is_a_warning() -> None:
    mounts = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "23 22 0:5 / /mnt/a\\040b rw - nfs4 host:/x rw\n"
        "24 22 0:6 / /tmp rw shared:3 - tmpfs tmpfs rw\n"
    )
    kinds = [
        sqlite.system_of(Path(folder), lambda: mounts)
        for folder in ("/mnt/a b/data", "/tmp/x", "/var/lib")
    ]
    assert kinds == ["nfs4", "tmpfs", "ext4"]
    found = [each for kind in kinds for each in sqlite.judge_system(Path("/d"), kind)]
    assert [each.status for each in found] == ["failure", "warning"]


@pytest.mark.parametrize(("version", "status"), [(14, "ok"), (3, "ok"), (15, "failure")])
def test_a_schema_of_a_newer_version_fails(version: int, status: str) -> None:
    assert sqlite.judge_version(version, 14).status == status


@pytest.mark.parametrize(
    ("skew_s", "took_s", "status"),
    [(0.2, 0.01, "ok"), (2.0, 0.01, "warning"), (-2.0, 4.0, "ok"), (-45.0, 0.1, "failure")],
)
def test_a_clock_is_judged_no_more_exactly_than_it_is_known(
    skew_s: float, took_s: float, status: str
) -> None:
    assert postgres.judge_clock(skew_s, took_s, "x").status == status


ASKED = postgres.Asked(
    where="db:5432/conduit",
    major=16,
    version="16.1",
    skew_s=0.0,
    took_s=0.001,
    is_standby=False,
    is_read_only=False,
    connection_count=5,
    connection_max_count=100,
    may_create=True,
    synchronous_commit="on",
    has_standby=False,
    unsafe=(),
    open_why=None,
    schema=5,
    works_from=1,
)


def asked(**changed: object) -> postgres.Asked:
    return msgspec.structs.replace(ASKED, **changed)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, "ok"),
        ({"schema": 0}, "ok"),
        ({"schema": 4}, "ok"),
        ({"schema": 2}, "warning"),
        ({"schema": 9, "works_from": 8}, "failure"),
    ],
)
def test_migrations_that_wait_for_a_person_are_a_warning(
    changed: dict[str, object], status: str
) -> None:
    assert postgres.judge_schema(asked(**changed), 5, [3]).status == status


def test_a_database_that_loses_acks_fails_unless_that_is_allowed() -> None:
    unsafe = asked(unsafe=("fsync",))
    assert [each.status for each in postgres.judge_durability(unsafe, allow_unsafe=False)] == [
        "failure"
    ]
    assert [each.status for each in postgres.judge_durability(unsafe, allow_unsafe=True)] == [
        "warning"
    ]
    local = asked(synchronous_commit="local", has_standby=True)
    assert postgres.judge_durability(local, allow_unsafe=False)[0].status == "warning"


@pytest.mark.parametrize(
    ("said", "told", "expected"),
    [
        ({"version": "7.0.15"}, {"maxmemory_policy": "noeviction"}, ["ok", "ok"]),
        ({"version": "6.0.1"}, {"maxmemory_policy": "noeviction"}, ["failure", "ok"]),
        ({"version": "7.2", "role": "replica"}, {}, ["ok", "failure", "not looked at"]),
        ({"version": "7.2"}, {}, ["ok", "not looked at"]),
        ({}, {"maxmemory_policy": "allkeys-lru", "maxmemory": "9"}, ["not looked at", "warning"]),
        ({}, {"maxmemory_policy": "allkeys-lru", "maxmemory": "0"}, ["not looked at", "ok"]),
        (
            {},
            {"maxmemory_policy": "noeviction", "maxmemory": "100", "used_memory": "95"},
            ["not looked at", "warning"],
        ),
    ],
)
def test_redis_by_its_version_role_and_memory(
    said: dict[str, str], told: dict[str, str], expected: list[str]
) -> None:
    assert [each.status for each in redis.judge("r:6379", said, told)] == expected


async def test_a_port_is_free_or_taken_by_another_program() -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    environ = {"PORT": str(number), "CONDUIT_HOST": "127.0.0.1"}
    async with server:
        (taken,) = await machine.port(load_settings(environ))
    (free,) = await machine.port(load_settings(environ))
    assert (taken.status, free.status) == ("failure", "ok")


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[int]:
    """A program that gives this answer to whatever is asked, in two parts; at the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body[:5])
        await writer.drain()
        writer.write(body[5:])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"status": "ok"}', "failure"), (b"[]", "failure"), (b'{"name": "Conduit"}', "ok")],
)
async def test_a_program_that_is_well_is_no_conduit_by_that(body: bytes, status: str) -> None:
    async with answering(body) as number:
        settings = load_settings({"PORT": str(number), "CONDUIT_HOST": "127.0.0.1"})
        (port,) = await machine.port(settings)
        address = await machine._reached("NODE_ADDR", "x", "127.0.0.1", number)
    assert (port.status, address.status) == (status, status)


async def test_an_address_where_nobody_answers_is_good_only_if_it_is_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "CONNECT_TIMEOUT_S", 0.1)
    for host, status in (("127.0.0.1", "ok"), ("192.0.2.1", "not looked at")):
        assert (await machine._reached("NODE_ADDR", "x", host, 1)).status == status


async def test_a_key_file_that_others_may_read_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql://h/d")
    environ = {"DATABASE_URL_FILE": str(path), "CONDUIT_ADMIN_KEY_FILE": str(tmp_path / "none")}
    for mode, status in ((0o640, "warning"), (0o600, "ok")):
        path.chmod(mode)
        (found,) = await machine.key_files(load_settings(environ))
        assert found.status == status
