"""Every operation and every frame with every credential that does not give it, on every store.

What belongs to another tenant answers as what does not exist, and nothing that was tried has an effect.
"""

import asyncio
import contextlib
import itertools
import json
from typing import get_args

import pytest

from conduit.protocol.frames import AnyClientFrame
from tests.e2e.conftest import STORES as ALL_STORES
from tests.server.rest_kit import running_api
from tests.support.access import (
    ALL_SCOPES,
    bad_credentials,
    furnish,
    guarded_server,
    view,
)
from tests.support.http import accepted
from tests.support.operations import FRAMES, OPERATIONS, plain
from tests.support.raw import RawHttp
from tests.support.ws import NoFrame, Refused, WsClient, payloads

SCOPES = (*ALL_SCOPES, "admin")
_numbers = itertools.count()


@pytest.fixture(scope="module", params=sorted(ALL_STORES))
def guarded(request):
    settings = dict(ALL_STORES[request.param])
    if request.param == "postgres":
        settings["DATABASE_URL"] = request.getfixturevalue("cluster").empty_database("matrix")
    with guarded_server(**settings) as guarded:
        yield guarded


class Home:
    """A tenant, its key with all rights, and its things."""

    def __init__(self, guarded, kind):
        self.tenant = f"{kind}{next(_numbers)}"
        self.api = guarded.create_tenant(self.tenant)
        self.names = furnish(self.api, self.tenant)


@pytest.fixture(scope="module")
def acme(guarded):
    return Home(guarded, "acme")


@pytest.fixture(scope="module")
def blue(guarded):
    return Home(guarded, "blue")


@pytest.fixture
def untouched(guarded, acme):
    """What is tried in the test must have no effect on what the tenant has."""
    watching = guarded.signed(guarded.create_key(acme.tenant)["key"])
    before = view(watching, but=guarded.actor)
    yield
    assert view(watching, but=guarded.actor) == before


# The tables ---------------------------------------------------------------------------------------


def routes_of(router):
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from routes_of(inner)
        else:
            yield from ((method, route.path) for method in route.methods - {"HEAD"})


def test_every_route_is_in_the_table():
    async def found():
        async with running_api() as api:
            # What is below is for nodes, whatever right somebody has: tests/server/test_internal.py. And the
            # dashboard's pages are for everybody: tests/server/test_rest_pages.py.
            elsewhere = ("/internal/", "/ui")
            return {each for each in routes_of(api.app) if not each[1].startswith(elsewhere)}

    assert {(each.method, each.path) for each in OPERATIONS} == asyncio.run(found())


def test_every_frame_is_in_the_table():
    tags = {frame.__struct_config__.tag for frame in get_args(AnyClientFrame)}
    assert {each.type for each in FRAMES} == tags


# Who is not known ---------------------------------------------------------------------------------


def test_whoever_is_not_known_hears_the_same_of_every_operation(guarded, acme, untouched):
    credentials = bad_credentials(guarded, acme.api, acme.tenant)
    nobody = guarded.signed(None)
    for operation in OPERATIONS:
        said = {
            name: plain(operation.send(nobody, acme.names, **headers), acme.names)
            for name, headers in credentials.items()
        }
        if operation.scopes is not None:
            first = said["none"]
            assert (first[0], first[2]["code"]) == (401, "unauthenticated"), operation
            assert [name for name in said if said[name] != first] == [], operation
        else:
            assert {status for status, *_ in said.values()} == {operation.good}, operation


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"unknown": 1}', b"\xff", b""])
def test_what_is_wrong_with_a_request_is_not_told_to_who_is_not_known(guarded, acme, body):
    nobody = guarded.signed(None)
    for operation in OPERATIONS:
        if operation.scopes is not None:
            path = acme.names.put(operation.path.replace("{name}", "x").replace("{id}", "x"))
            answer = nobody.request(operation.method, f"{path}?wrong=1&wrong=2", body)
            assert (answer.status, answer.code) == (401, "unauthenticated"), operation


def test_nobody_learns_which_addresses_there_are(guarded):
    answer = guarded.signed(None).get("/api/nothing-of-the-kind")
    assert (answer.status, answer.code) == (401, "unauthenticated")


@pytest.mark.parametrize("asked", FRAMES, ids=lambda each: each.type)
def test_no_frame_but_auth_is_taken_before_the_sign_in(guarded, acme, asked, untouched):
    with WsClient(guarded.server.ws_url) as client:
        client.send({"type": asked.type, **acme.names.put(asked.fields)})
        assert client.receive("error")["code"] == "unauthenticated"
        assert client.closed() == (4501, "unauthenticated")


def test_a_socket_with_a_bad_credential_is_closed_or_not_opened(guarded, acme, untouched):
    for name, headers in bad_credentials(guarded, acme.api, acme.tenant).items():
        upgrade = (
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        )
        upgrade += "".join(f"{each}: {value}\r\n" for each, value in headers.items())
        with RawHttp(guarded.server.port) as raw:
            raw.send(f"{upgrade}\r\n".encode())
            status, _, body = raw.answer()
        if not headers:
            assert status == 101
            continue
        assert (status, json.loads(body)["code"]) == (401, "unauthenticated"), name
        if name == "another scheme":
            continue
        with WsClient(guarded.server.ws_url) as client:
            token = next(iter(headers.values())).partition(" ")[2]
            client.send({"type": "auth", "token": token, "ref": "r"})
            error = client.receive("error")
            assert client.closed() == (4501, "unauthenticated"), name
            assert error["code"] == "unauthenticated", name


# Who has not the right ----------------------------------------------------------------------------


def test_each_right_opens_what_it_is_for_and_nothing_else(guarded, acme, untouched):
    for scope in SCOPES:
        key = guarded.create_key(acme.tenant if scope != "admin" else "default", scope)["key"]
        for operation in OPERATIONS:
            if operation.scopes is None or scope in (*operation.scopes, "admin"):
                continue
            answer = operation.send(guarded.signed(key), acme.names)
            assert (answer.status, answer.code) == (403, "forbidden"), (scope, operation)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_right_is_enough_for_what_it_is_for(guarded, scope):
    home = Home(guarded, f"own-{scope}-")
    tenant = home.tenant if scope != "admin" else "default"
    api = guarded.signed(guarded.create_key(tenant, scope)["key"])
    for operation in OPERATIONS:
        if operation.scopes is None or scope not in (*operation.scopes, "admin"):
            continue
        acting = {} if scope != "admin" else {"X-Conduit-Tenant": home.tenant}
        if operation.path.startswith("/api/keys") and scope == "manage":
            # Nobody gives, or changes, what he has not.
            continue
        answer = operation.send(api, home.names, **acting)
        assert answer.status in (operation.good, operation.or_else), (operation, answer)


def test_a_right_for_other_topics_is_none(guarded, acme, untouched):
    key = guarded.create_key(acme.tenant, *ALL_SCOPES, topics=["elsewhere.>"])["key"]
    api, nothing = guarded.signed(key), acme.names.like()
    for operation in OPERATIONS:
        if operation.narrow is None:
            continue
        answer = operation.send(api, acme.names)
        assert answer.status == operation.narrow, (operation, answer)
        if operation.narrow == 404:
            missing = operation.send(api, nothing)
            assert plain(answer, acme.names) == plain(missing, nothing), operation
        elif operation.narrow == 200:
            assert acme.names.topic not in answer.body.decode(), operation
            assert acme.names.subscription not in answer.body.decode(), operation
        else:
            assert answer.code == "forbidden", operation


def test_a_key_for_some_topics_is_told_of_the_jobs_for_them_and_of_no_nodes(guarded):
    home = Home(guarded, "jobs")
    names = home.names
    key = guarded.create_key(home.tenant, "manage", topics=[names.topic])["key"]
    body = {"ids": [names.job], "topic": names.topic}
    own = accepted(home.api.post("/api/dlq/redrive", body))["id"]
    found = accepted(guarded.signed(key).get("/api/dlq/jobs"))
    assert [job["id"] for job in found.pop("jobs")] == [own]
    assert found == {"unanswered_count": 0}
    whole = accepted(home.api.get("/api/dlq/jobs"))["jobs"]
    assert {(job["id"], job["node"]) for job in whole} == {(own, None), (names.job, None)}
    acting = accepted(guarded.acting(home.tenant).get("/api/dlq/jobs"))
    assert {job["node"] for job in acting["jobs"]} == {*acting["nodes"]} == {names.node}


@pytest.mark.parametrize("asked", FRAMES, ids=lambda each: each.type)
def test_a_frame_that_asks_for_more_than_is_given_is_refused(guarded, acme, asked, untouched):
    others = [scope for scope in ALL_SCOPES if scope != asked.scope]
    keys = [guarded.create_key(acme.tenant, scope)["key"] for scope in others]
    keys.append(guarded.create_key(acme.tenant, *ALL_SCOPES, topics=["elsewhere.>"])["key"])
    for key in keys:
        with guarded.signed(key).socket() as client:
            if asked.type == "heartbeat":
                client.barrier()
                continue
            with pytest.raises(Refused) as refused:
                client.request(asked.type, **acme.names.put(asked.fields))
            assert refused.value.code == ("forbidden" if asked.scope else asked.missing)


# Who is another tenant's --------------------------------------------------------------------------


def test_what_is_another_tenants_answers_as_what_does_not_exist(guarded, acme, blue, untouched):
    nothing = acme.names.like()
    for operation in sorted(OPERATIONS, key=lambda each: each.is_creating):
        if operation.path.startswith("/api/tenants") or operation.scopes in (None, ("admin",)):
            continue
        is_made = operation.is_creating
        theirs = operation.send(blue.api, acme.names)
        named = operation.send(blue.api, acme.names, **{"X-Conduit-Tenant": acme.tenant})
        none = operation.send(blue.api, nothing)
        if operation.missing is not None:
            assert (theirs.status, theirs.code) == (404, operation.missing), operation
        elif is_made:
            assert theirs.status == operation.good, (operation, theirs)
            # What it has made is its own, and there the second time.
            named = theirs
        assert acme.api.key not in theirs.body.decode()
        if not operation.path.startswith("/api/stats"):
            assert plain(theirs, acme.names, made=is_made) == plain(none, nothing, made=is_made)
            assert plain(named, acme.names, made=is_made) == plain(none, nothing, made=is_made)


def said(client, asked, names):
    """What is answered to the frame. An answer for which the store is asked may come after that to the
    heartbeat."""
    ref = {} if asked.type == "heartbeat" else {"ref": "r"}
    client.send({"type": asked.type, **names.put(asked.fields), **ref})
    client.send({"type": "heartbeat"})
    frames = [client.receive(), client.receive()]
    frames.sort(key=lambda frame: frame["type"])
    return json.loads(names.hidden(json.dumps(frames)))


def test_frames_about_another_tenants_are_answered_as_those_about_nothing(guarded, acme, untouched):
    stranger = guarded.create_tenant(f"stranger{next(_numbers)}")
    nothing = acme.names.like()
    with stranger.socket() as client:
        for asked in FRAMES:
            if asked.type == "auth":
                continue
            theirs = said(client, asked, acme.names)
            assert theirs == said(client, asked, nothing), asked
            if asked.missing is not None:
                assert theirs[0]["code"] == asked.missing, asked


def test_a_socket_cannot_become_another_tenants(guarded, acme, blue, untouched):
    for key in (acme.api.key, guarded.create_key(acme.tenant, "publish")["key"]):
        with blue.api.socket() as client:
            with pytest.raises(Refused) as refused:
                client.request("auth", token=key)
            assert refused.value.code == "forbidden"
            client.request("publish", topic=blue.names.topic, payload=1)


def everything(client):
    """The messages that have come."""
    frames = []
    with contextlib.suppress(NoFrame):
        while True:
            frames.append(client.receive("message", 0.1))
    return frames


def test_what_one_tenant_does_reaches_no_subscriber_of_another(guarded, acme):
    names, blue = acme.names, Home(guarded, "green")
    with blue.api.socket() as client:
        client.subscribe(">", start="earliest")
        client.subscribe(names.topic, start={"seq": 1, "epoch": names.epoch})
        own = f"own.{blue.tenant}"
        blue.api.create_topic(own)
        acme.api.create_topic(own)
        client.subscribe(own, subscription="durable", start="earliest")
        acme.api.publish(names.topic, "for acme only")
        acme.api.publish(own, "for acme only", idempotency_key="same")
        blue.api.publish(own, "own", idempotency_key="same")
        frame = client.receive("message", subscription="durable")
        assert frame["payload"] == "own"
        client.barrier()
        assert "for acme only" not in payloads(everything(client))


def statistics(api):
    """Without what goes with time; rates are of the last ten seconds."""
    seen = accepted(api.get("/api/stats"))
    return {name: seen[name] for name in seen if "_per_sec" not in name and "uptime" not in name}


def test_nothing_that_a_tenant_sees_changes_by_what_another_does(guarded):
    quiet, loud = Home(guarded, "quiet"), Home(guarded, "loud")
    before = {**view(quiet.api), "stats": statistics(quiet.api)}
    assert loud.tenant not in json.dumps(before)
    for _ in range(3):
        furnish(loud.api, loud.tenant)
    with loud.api.socket() as client:
        client.subscribe(">", start="earliest")
        client.messages(12)
        assert {**view(quiet.api), "stats": statistics(quiet.api)} == before
    history = accepted(quiet.api.get("/api/stats/history"))["samples"]
    assert {sample["active_topics"] for sample in history} <= {0, 1}


def test_an_operator_that_names_its_own_tenant_is_told_of_that_one(guarded, acme):
    entries = accepted(guarded.operator.get("/api/audit"))["entries"]
    assert acme.tenant in {entry["tenant"] for entry in entries}
    own = guarded.acting("default")
    entries = accepted(own.get("/api/audit"))["entries"]
    assert {entry["tenant"] for entry in entries} == {"default"}
    assert statistics(own)["active_topics"] == 0


def test_a_tenant_comes_and_goes_with_its_keys(guarded):
    home = Home(guarded, "short")
    path = f"/api/tenants/{home.tenant}"
    again = guarded.operator.post("/api/tenants", {"name": home.tenant})
    assert (again.status, again.code) == (409, "tenant_exists")
    full = guarded.operator.delete(path)
    assert (full.status, full.code) == (409, "tenant_not_empty")
    with home.api.socket() as client:
        assert home.api.delete(f"/api/subscriptions/{home.names.subscription}").status == 204
        assert home.api.delete(f"/api/topics/{home.names.topic}").status == 204
        assert guarded.operator.delete(path).status == 204
        assert home.api.get("/api/whoami").status == 401
        assert client.closed() == (4501, "unauthenticated")
    gone = guarded.operator.get(path)
    assert (gone.status, gone.code) == (404, "tenant_not_found")
    # Whoever gets the name has nothing of it.
    fresh = view(guarded.create_tenant(home.tenant))
    mark = home.names.topic.partition(".")[0]
    assert [path for path in fresh if mark in json.dumps(fresh[path])] == []
