"""The command line beside a server with authentication."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit.cli.exits import Exit
from tests.cli.command import Conduit
from tests.cli.terminal import Terminal
from tests.cli.test_completion import completed, offered
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.e2e

CLOSED_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(ENABLE_AUTH="true", DATABASE_URL="sqlite:///conduit.db") as server:
        yield server


@pytest.fixture(scope="module")
def admin_key(server: RunningServer) -> str:
    return (server.directory / "conduit-admin-key").read_text().strip()


def with_key(server: RunningServer, key: str) -> Conduit:
    conduit = Conduit(server.url)
    conduit.env["CONDUIT_API_KEY"] = key
    return conduit


@pytest.fixture
def admin(server: RunningServer, admin_key: str) -> Conduit:
    return with_key(server, admin_key)


def test_without_a_key_a_command_ends_with_4_and_says_where_keys_come_from(
    server: RunningServer,
) -> None:
    for args in (("topic", "ls"), ("pub", "t", "1"), ("sub", "t"), ("whoami",)):
        done = Conduit(server.url).run(*args)
        assert (done.code, "(code unauthenticated)" in done.err) == (Exit.AUTH, True)
        assert "CONDUIT_API_KEY" in done.err
    assert Conduit(server.url).run("health").code == Exit.OK


def test_a_key_is_made_used_rotated_and_revoked(
    server: RunningServer, admin: Conduit, topic: str
) -> None:
    admin.ok("topic", "create", topic)
    scopes = ("--scope", f"publish:{topic}", "--scope", f"subscribe:{topic}@billing")
    made = admin.ok(
        "key", "create", "shop", *scopes, "--expires", "1h", "--limit", "connections=9"
    ).json
    key_id = made["id"]
    shop = with_key(server, made["key"])
    assert shop.ok("whoami").json["actor"] == f"key:{key_id}"
    shop.ok("pub", topic, "1")
    shop.ok("sub", topic, "--subscription", "billing", "--from", "earliest", "--count", "1")
    for args in (
        ("pub", "other", "1"),
        ("topic", "create", "x"),
        ("sub", topic, "--subscription", "another"),
        ("key", "ls"),
    ):
        done = shop.run(*args)
        assert (done.code, "(code forbidden)" in done.err) == (Exit.AUTH, True), done
    changed = admin.ok("key", "change", key_id, "--name", "till", "--expires", "none").json
    assert (changed["name"], changed["expires_at"]) == ("till", None)
    new = admin.ok("key", "rotate", key_id, "--overlap", "1h", "-q").out.strip()
    for one in (shop, with_key(server, new)):
        one.ok("whoami")
    (row,) = [row for row in admin.ok("key", "ls").json if row["id"] == key_id]
    assert row["rotating_until"] is not None
    assert new not in str(row)
    admin.ok("key", "revoke", key_id, "--yes")
    assert with_key(server, new).run("whoami").code == Exit.AUTH
    assert admin.ok("key", "get", key_id).json["revoked_at"] is not None
    assert admin.run("key", "get", "00000000").code == Exit.NOT_FOUND


def test_a_token_is_made_and_used(server: RunningServer, admin: Conduit, topic: str) -> None:
    admin.ok("topic", "create", topic)
    key = admin.ok("key", "create", "x", "--scope", "publish", "-q").out.strip()
    create = ("token", "create", "--scope", f"publish:{topic}", "--ttl", "1m", "-q")
    token = with_key(server, with_key(server, key).ok(*create).out.strip())
    token.ok("pub", topic, "1")
    assert token.run("pub", "other", "1").code == Exit.AUTH
    assert token.ok("whoami").json["scopes"] == [{"scope": "publish", "topics": [topic]}]


def test_a_subscriber_whose_key_is_revoked_ends(
    server: RunningServer, admin: Conduit, topic: str
) -> None:
    admin.ok("topic", "create", topic)
    made = admin.ok("key", "create", "x", "--scope", "subscribe").json
    with with_key(server, made["key"]).subscribe(topic) as running:
        admin.ok("key", "revoke", made["id"], "--yes")
        began_at = time.monotonic()
        assert running.wait() == Exit.AUTH
        assert time.monotonic() - began_at < CLOSED_WITHIN_S


def test_an_operator_works_for_a_tenant(
    server: RunningServer, admin: Conduit, tmp_path: Path
) -> None:
    made = admin.ok("tenant", "create", "acme", "--limit", "topics=2").json
    assert made["limits"] == {"topics": 2}
    assert admin.run("tenant", "create", "acme").code == Exit.CONFLICT
    file = tmp_path / "key"
    create = ("key", "create", "first", "--scope", "manage", "--tenant", "acme")
    assert admin.ok(*create, "--out", str(file)).json["tenant"] == "acme"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # Of others than the operator the server does not read for whom they work: nothing is done then.
    own = with_key(server, admin.ok("key", "create", "x", "--scope", "manage", "-q").out.strip())
    done = own.run("topic", "create", "orders", "--tenant", "acme")
    assert (done.code, "works on tenant default" in done.err) == (Exit.AUTH, True)
    assert own.run("topic", "get", "orders").code == Exit.NOT_FOUND
    acme = Conduit(server.url)
    acme.ok("topic", "create", "orders", "--api-key-file", str(file))
    assert admin.run("topic", "get", "orders").code == Exit.NOT_FOUND
    admin.ok("topic", "get", "orders", "--tenant", "acme")
    assert admin.run("tenant", "rm", "acme", "-y").code == Exit.CONFLICT
    admin.ok("topic", "rm", "orders", "-y", "--tenant", "acme")
    limits = admin.ok("tenant", "change", "acme", "--limit", "topics=none").json["limits"]
    assert limits == {}
    assert [row["name"] for row in admin.ok("tenant", "ls").json] == ["acme", "default"]
    admin.ok("tenant", "rm", "acme", "-y")
    assert admin.run("tenant", "get", "acme").code == Exit.NOT_FOUND
    done = acme.run("whoami", "--api-key-file", str(file))
    assert done.code == Exit.AUTH


def test_a_key_is_typed_into_a_context_and_not_shown(
    server: RunningServer, admin_key: str, tmp_path: Path, topic: str
) -> None:
    here = {"XDG_CONFIG_HOME": str(tmp_path)}
    add = ("context", "add", "prod", "--url", server.url, "--api-key", "-", "--use")
    with Terminal("", *add, **here) as terminal:
        terminal.until("API key: ")
        terminal.type(f"{admin_key}\n")
        code, shown = terminal.end()
    assert (code, admin_key in shown) == (Exit.OK, False)
    conduit = Conduit("")
    del conduit.env["CONDUIT_URL"]
    conduit.env |= here
    conduit.ok("topic", "create", topic)
    assert admin_key not in conduit.ok("context", "ls").out
    # The shell is told names with it, too.
    assert offered(f"conduit topic get {topic[:5]}", **here) == [topic]
    key_id = conduit.ok("key", "create", "x", "--scope", "publish").json["id"]
    assert key_id in offered("conduit key get ", **here)
    assert offered("conduit tenant get def", **here) == ["default"]
    assert offered("conduit stats --context ", **here) == ["prod"]
    conduit.ok("context", "use", "--none")
    assert completed(f"conduit topic get {topic[:5]}", **here) == []


def test_what_was_done_is_in_the_audit_log_and_what_comes_follows(
    server: RunningServer, admin: Conduit, topic: str
) -> None:
    admin.ok("topic", "create", topic)
    made = admin.ok("key", "create", "x", "--scope", "manage").json
    (row,) = [
        one
        for one in admin.ok("audit", "--action", "key.create").json
        if one["target"] == made["id"]
    ]
    assert (row["address"], row["detail"]["name"]) == ("127.0.0.1", "x")
    with admin.start("audit", "-f", "--actor", f"key:{made['id']}") as running:
        with_key(server, made["key"]).ok("topic", "rm", topic, "-y")
        assert running.line()["action"] == "topic.delete"
