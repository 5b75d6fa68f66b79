"""An operator's way: the first key, a tenant, its keys, and what they may not do."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from tests.support import forkserver, secrets
from tests.support.http import Answer, Api
from tests.support.server import RunningServer, clean_environment, running_server
from tests.support.ws import WsClient


class Caller:
    """Somebody with a key."""

    def __init__(self, server: RunningServer, key: str | None = None) -> None:
        self.server = server
        self.key = key

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            sent["Authorization"] = f"Bearer {self.key}"
        content = None if body is None else json.dumps(body).encode()
        return Api(self.server.url).request(method, path, content, sent)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    place = tmp_path_factory.mktemp("auth")
    settings = {
        "ENABLE_AUTH": "true",
        "DATABASE_URL": "sqlite:///conduit.db",
        "CONDUIT_ADMIN_KEY_FILE": str(place / "admin-key"),
    }
    with running_server(**settings) as server:
        server.admin_key = (place / "admin-key").read_text().strip()
        assert (place / "admin-key").stat().st_mode & 0o777 == 0o600
        yield server
        assert server.admin_key not in server.log_text()
        assert "Traceback" not in server.log_text(), server.log_tail()


@pytest.fixture
def operator(server: RunningServer) -> Caller:
    return Caller(server, server.admin_key)


def made(answer: Answer, status: int = 201) -> dict:
    assert answer.status == status, answer
    return answer.json


def manager_of(operator: Caller, tenant: str) -> Caller:
    """The first key of a new tenant, made by the operator."""
    made(operator.ask("POST", "/api/tenants", {"name": tenant}))
    scopes = [{"scope": scope} for scope in ("publish", "subscribe", "manage")]
    body = {"name": "manager", "scopes": scopes}
    key = made(operator.ask("POST", "/api/keys", body, X_Conduit_Tenant=tenant))["key"]
    return Caller(operator.server, key)


def test_of_those_that_follow_a_topic_a_limited_key_sees_what_it_may_manage(operator: Caller):
    initech = manager_of(operator, "initech")
    globex = manager_of(operator, "globex")
    body = {"name": "some", "scopes": [{"scope": "manage", "topics": ["a.>"]}]}
    some = Caller(operator.server, made(initech.ask("POST", "/api/keys", body))["key"])
    for caller, name, topic in (
        (initech, "own", "a.b"),
        (initech, "parts", "a.*"),
        (initech, "all", ">"),
        (globex, "theirs", "a.b"),
    ):
        made(caller.ask("POST", "/api/subscriptions", {"name": name, "topic": topic}))

    def followers(caller: Caller, topic: str) -> list[str]:
        page = made(caller.ask("GET", f"/api/subscriptions?topic={topic}"), 200)
        return [each["name"] for each in page["subscriptions"]]

    assert followers(initech, "a.b") == ["all", "own", "parts"]
    assert followers(some, "a.b") == ["own", "parts"]
    assert followers(some, "other") == []


def test_a_tenant_from_its_beginning_to_its_end(operator: Caller):
    acme = manager_of(operator, "acme")
    assert operator.ask("POST", "/api/tenants", {"name": "acme"}).code == "tenant_exists"
    who = made(acme.ask("GET", "/api/whoami"), 200)
    assert (who["tenant"], who["limits"]) == ("acme", {})
    made(acme.ask("POST", "/api/topics", {"name": "orders"}))
    assert acme.ask("GET", "/api/tenants").code == "forbidden"
    assert operator.ask("DELETE", "/api/tenants/acme").code == "tenant_not_empty"
    assert acme.ask("DELETE", "/api/topics/orders").status == 204
    assert operator.ask("DELETE", "/api/tenants/acme").status == 204
    assert acme.ask("GET", "/api/whoami").code == "unauthenticated"
    assert operator.ask("GET", "/api/tenants/acme").code == "tenant_not_found"
    entries = made(operator.ask("GET", "/api/audit"), 200)["entries"]
    actions = [
        entry["action"]
        for entry in reversed(entries)
        if "acme" in (entry["tenant"], entry["target"])
    ]
    assert actions == ["tenant.create", "key.create", "topic.delete", "tenant.delete"]


def test_a_key_from_its_beginning_to_its_end(operator: Caller, server: RunningServer):
    manager = manager_of(operator, "keys")
    body = {"name": "web", "scopes": [{"scope": "subscribe", "topics": ["a.>"]}]}
    key = made(manager.ask("POST", "/api/keys", body))
    web = Caller(server, key["key"])
    again = made(manager.ask("POST", f"/api/keys/{key['id']}/rotate", {"overlap_s": 3600}), 200)
    for each in (web, Caller(server, again["key"])):
        assert made(each.ask("GET", "/api/whoami"), 200)["key_id"] == key["id"]
    shown = made(manager.ask("GET", f"/api/keys/{key['id']}"), 200)
    assert "key" not in shown
    assert shown["rotating_until"] is not None
    ends_at = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    shown = made(manager.ask("PATCH", f"/api/keys/{key['id']}", {"expires_at": ends_at}), 200)
    assert shown["rotating_until"] == shown["expires_at"]
    with WsClient(server.ws_url) as socket:
        socket.send({"type": "auth", "token": key["key"]})
        assert socket.receive("authenticated")["tenant"] == "keys"
        socket.subscribe("a.b")
        made(manager.ask("DELETE", f"/api/keys/{key['id']}"), 200)
        assert socket.closed(timeout=5)[0] == 4501
    ended = made(manager.ask("GET", f"/api/keys/{key['id']}"), 200)
    assert (ended["revoked_at"] is None, ended["rotating_until"]) == (False, None)
    assert web.ask("GET", "/api/whoami").code == "unauthenticated"
    assert manager.ask("GET", "/api/keys/nosuchid").code == "key_not_found"
    assert operator.ask("GET", f"/api/keys/{key['id']}").code == "key_not_found"


def test_after_a_restart_a_key_is_good_and_no_other_first_key_is_made(operator: Caller, server):
    manager = manager_of(operator, "restart")
    server.restart()
    assert manager.ask("GET", "/api/whoami").status == 200
    assert operator.ask("GET", "/api/whoami").status == 200


def test_a_limit_is_named_by_what_is_refused_for_it(operator: Caller):
    manager = manager_of(operator, "limits")
    made(manager.ask("POST", "/api/topics", {"name": "t"}))
    limits = {"publishes_per_s": 1, "topics": 1}
    made(operator.ask("PATCH", "/api/tenants/limits", {"limits": limits}), 200)
    assert manager.ask("POST", "/api/topics", {"name": "u"}).json["limit"] == "topics"
    answers = [manager.ask("POST", "/api/publish", {"topic": "t", "payload": 1}) for _ in range(3)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.code, refused.json["limit"]) == ("rate_limited", "publishes_per_s")


def test_an_operator_who_has_lost_the_key_makes_another_on_the_database():
    settings = {"ENABLE_AUTH": "true", "DATABASE_URL": "sqlite:///conduit.db"}
    with running_server(**settings) as server:
        path = server.directory / "conduit-admin-key"
        lost = Caller(server, path.read_text().strip())
        run = partial(
            forkserver.run,
            ["conduit", "store", "admin-key", "--yes"],
            clean_environment(**settings),
            cwd=server.directory,
        )
        refused = run()
        assert refused.returncode == 6, refused
        server.terminate()
        done = run()
        assert done.returncode == 0, done.stderr
        secrets.register(done.stdout.strip())
        server.start()
        found = Caller(server, done.stdout.strip())
        key_id = made(lost.ask("GET", "/api/whoami"), 200)["key_id"]
        made(found.ask("DELETE", f"/api/keys/{key_id}"), 200)
        assert lost.ask("GET", "/api/whoami").code == "unauthenticated"
        query = "/api/audit?action=key.create"
        entries = made(found.ask("GET", query), 200)["entries"]
        assert [entry["actor"] for entry in entries] == ["store", "server"]
