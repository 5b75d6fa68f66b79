"""A Redis that cannot be used: each case has a word, one line in the log, and ends by itself."""

import asyncio
import contextlib
import logging
import subprocess

import pytest
from redis import Redis

from tests.support import secrets
from tests.support.redis import RedisServer
from tests.support.registries import registry
from tests.support.wait import until_true

pytestmark = pytest.mark.process

PASSWORD = "a-secret-of-this-test"


@pytest.fixture(autouse=True)
def log(caplog):
    secrets.register(PASSWORD)
    caplog.set_level(logging.INFO)
    return caplog


def lines(log, part):
    return [record.getMessage() for record in log.records if part in record.getMessage()]


async def trouble_of(one, log, trouble):
    """Until it has this trouble, of which one line tells; returns that line."""
    await until_true(lambda: one.state.trouble == trouble)
    failures = one.counts.failures
    await until_true(lambda: one.counts.failures > failures + 1)
    assert not one.state.is_up
    assert one.state.trouble == trouble
    (line,) = [each for each in lines(log, "is not used") if one.state.detail in each]
    return line


async def heals(one, log):
    await until_true(lambda: one.state.is_up)
    assert one.state.trouble is None
    assert lines(log, "is used")


async def test_nobody_listens(own_redis, log):
    own_redis.kill()
    async with registry(own_redis.url) as one:
        line = await trouble_of(one, log, "unreachable")
        assert "nobody listens there" in line
        assert own_redis.place in line
        own_redis.start()
        await heals(one, log)
    assert len(lines(log, "is not used")) == 1


@pytest.mark.parametrize("user", ["", "conduit"])
async def test_a_wrong_password_is_refused_and_not_told(own_redis, log, user):
    own_redis.ask("ACL", "SETUSER", "conduit", "on", ">right", "~*", "&*", "+@all")
    own_redis.ask("CONFIG", "SET", "requirepass", "right")
    async with registry(f"redis://{user}:{PASSWORD}@{own_redis.place}/0") as one:
        line = await trouble_of(one, log, "refused")
        assert PASSWORD not in line + repr(one.state)
        with Redis.from_url(f"redis://:right@{own_redis.place}") as admin:
            admin.execute_command("ACL", "SETUSER", user or "default", f">{PASSWORD}")
        await heals(one, log)


async def test_no_password_where_one_is_needed(own_redis, log):
    own_redis.ask("CONFIG", "SET", "requirepass", "right")
    async with registry(own_redis.url) as one:
        await trouble_of(one, log, "refused")


async def test_a_password_that_redis_does_not_want(own_redis, log):
    async with registry(f"redis://:{PASSWORD}@{own_redis.place}/0") as one:
        await trouble_of(one, log, "refused")


@pytest.mark.parametrize(
    "rights", [["~other:*"], ["-eval"], ["-publish"], ["-subscribe"], ["resetchannels"], ["-ping"]]
)
async def test_a_user_that_may_not_do_what_is_needed(own_redis, log, rights):
    grant = ["~conduit:*", "resetchannels", "&conduit:*", "+@all", "-@dangerous"]
    if rights == ["~other:*"]:
        grant[0] = rights[0]
    rules = ["ACL", "SETUSER", "conduit", "reset", "on", f">{PASSWORD}"]
    own_redis.ask(*rules, *grant, *rights)
    async with registry(f"redis://conduit:{PASSWORD}@{own_redis.place}/0") as one:
        line = await trouble_of(one, log, "forbidden")
        # What the line says is enough.
        said = line.rpartition("ACL SETUSER … ")[2]
        own_redis.ask(*rules, *said.split())
        await heals(one, log)


async def test_its_memory_is_full(own_redis, log):
    async with registry(own_redis.url) as one:
        await until_true(lambda: one.state.is_up)
        own_redis.ask("CONFIG", "SET", "maxmemory", "1")
        line = await trouble_of(one, log, "full")
        assert "maxmemory" in line
        own_redis.ask("CONFIG", "SET", "maxmemory", "0")
        await heals(one, log)


async def test_a_replica_takes_no_writes(own_redis, log):
    async with registry(own_redis.url) as one:
        await until_true(lambda: one.state.is_up)
        own_redis.ask("REPLICAOF", "127.0.0.1", "1")
        await trouble_of(one, log, "read_only")
        own_redis.ask("REPLICAOF", "NO", "ONE")
        await heals(one, log)


async def test_a_redis_that_cannot_save_takes_no_writes(own_redis, log, tmp_path):
    own_redis.kill()
    folder = tmp_path / "saved"
    folder.mkdir()
    own_redis.start("save 3600 1000000", f"dir {folder}")
    folder.rmdir()
    own_redis.ask("BGSAVE")
    await until_true(lambda: own_redis.ask("INFO")["rdb_last_bgsave_status"] == "err")
    async with registry(own_redis.url) as one:
        await trouble_of(one, log, "unsaved")
        own_redis.ask("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
        await heals(one, log)


async def test_somebodys_script_that_does_not_end(own_redis, log):
    own_redis.ask("CONFIG", "SET", "lua-time-limit", "100")
    async with registry(own_redis.url) as one:
        await until_true(lambda: one.state.is_up)
        command = ["redis-cli", "-p", str(own_redis.port), "EVAL", "while true do end", "0"]
        script = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        await until_true(lambda: one.state.trouble == "busy")
        own_redis.ask("SCRIPT", "KILL")
        await heals(one, log)
        await script.wait()


async def test_it_has_too_many_clients(own_redis, log):
    own_redis.ask("CONFIG", "SET", "maxclients", "1")
    keeper = await asyncio.open_connection("127.0.0.1", own_redis.port)
    async with registry(own_redis.url) as one:
        await until_true(lambda: one.state.trouble in ("busy", "unreachable"))
        keeper[1].write(b"CONFIG SET maxclients 100\r\n")
        await heals(one, log)
    keeper[1].close()


async def test_a_database_that_is_not_there(own_redis, log):
    async with registry(f"redis://{own_redis.place}/99") as one:
        await trouble_of(one, log, "no_database")


async def test_another_database_is_fine(own_redis, log):
    async with registry(f"redis://{own_redis.place}/5") as one:
        await heals(one, log)


async def test_a_part_of_a_redis_cluster(log):
    server = RedisServer(["cluster-enabled yes"])
    server.start()
    try:
        async with registry(server.url) as one:
            line = await trouble_of(one, log, "redis_cluster")
            assert "not in cluster mode" in line
    finally:
        server.remove()


async def test_a_sentinel(log):
    server = RedisServer(["sentinel deny-scripts-reconfig yes"], is_sentinel=True)
    server.start()
    try:
        async with registry(server.url) as one:
            line = await trouble_of(one, log, "not_redis")
            assert "Sentinel" in line
    finally:
        server.remove()


ANSWERS = {
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_redis"),
    "smtp": (b"220 mail.example ESMTP\r\n", "not_redis"),
    "memcached": (b"ERROR\r\n", "not_redis"),
    "endless": (b"x" * 200_000, "not_redis"),
    "other types": (b"+PONG\r\n" * 50, "not_redis"),
    "nothing": (b"", "slow"),
    "the end": (None, "unreachable"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_another_kind_of_server(log, kind):
    answer, trouble = ANSWERS[kind]

    async def serve(reader, writer):
        with contextlib.suppress(OSError):
            await reader.read(1)
            if answer is not None:
                writer.write(answer)
                await reader.read()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with registry(f"redis://127.0.0.1:{port}/0") as one:
        await trouble_of(one, log, trouble)
        assert not [record for record in log.records if record.exc_info]
    server.close()


async def test_a_host_that_has_no_address(log):
    async with registry("redis://nowhere.invalid:6379/0") as one:
        await until_true(lambda: one.state.trouble in ("unreachable", "slow"))


async def test_a_socket(log, tmp_path):
    server = RedisServer([f"unixsocket {tmp_path}/redis.sock"])
    server.start()
    try:
        async with registry(f"unix://{tmp_path}/redis.sock") as one:
            await heals(one, log)
            server.kill()
            await until_true(lambda: one.state.trouble == "unreachable")
            server.start()
            await heals(one, log)
    finally:
        server.remove()
