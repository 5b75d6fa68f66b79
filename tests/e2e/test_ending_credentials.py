"""What a credential gives ends with it, on every store: keys that are revoked, here and elsewhere, rotated
keys, tokens that expire."""

import contextlib
import itertools
import re
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import STORES as ALL_STORES
from tests.support.access import Guarded, guarded_server
from tests.support.http import accepted
from tests.support.postgres import USER
from tests.support.raw import RawHttp
from tests.support.server import ServerError, running_server
from tests.support.wait import until
from tests.support.ws import Refused, WsClient

# Whoever has a credential that has ended is gone by then.
CLOSED_WITHIN_S = 5.0
DOCS = Path(__file__).parents[2] / "docs" / "auth.md"
GONE = (4501, "unauthenticated")
# How a client sees that: an answer with the code, or a socket that is closed before it can ask.
ENDS = contextlib.suppress(AssertionError, ConnectionClosed)
_numbers = itertools.count()


@pytest.fixture(scope="module", params=sorted(ALL_STORES))
def guarded(request):
    settings = dict(ALL_STORES[request.param])
    if request.param == "postgres":
        settings["DATABASE_URL"] = request.getfixturevalue("cluster").empty_database("ending")
    with guarded_server(**settings) as guarded:
        yield guarded


@pytest.fixture
def manager(guarded):
    """Who manages a new tenant that has a topic."""
    api = guarded.create_tenant(f"acme{next(_numbers)}")
    api.create_topic("a")
    return api


def now():
    """What the time is, also for the server: both are on this machine."""
    return datetime.now(UTC)


def tenant_of(api):
    return accepted(api.get("/api/whoami"))["tenant"]


@pytest.fixture
def key(guarded, manager):
    return guarded.create_key(tenant_of(manager))


def with_ticket(api):
    ticket = accepted(api.post("/api/tickets", {}), 201)["ticket"]
    return WsClient(f"{api.url.replace('http', 'ws', 1)}/ws?ticket={ticket}")


@contextlib.contextmanager
def sockets_of(guarded, key):
    """WebSockets that are open by each kind of credential that this key has or makes."""
    api = guarded.signed(key["key"])
    scopes = [{"scope": "publish"}, {"scope": "subscribe", "subscriptions": ["s"]}]
    token = accepted(api.post("/api/tokens", {"scopes": scopes}), 201)["token"]
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(opened)
            for opened in (api.socket(), guarded.signed(token).socket(), with_ticket(api))
        ]
        sockets[0].subscribe("a", subscription="s")
        for socket in sockets:
            socket.request("publish", topic="a", payload=1)
        yield sockets


def all_closed(sockets):
    began = time.monotonic()
    for socket in sockets:
        assert socket.closed() == GONE
    assert time.monotonic() - began < CLOSED_WITHIN_S


def test_the_sockets_of_a_revoked_key_are_closed_and_nothing_more_is_taken(guarded, manager, key):
    body = b'{"topic":"a","payload":2}'
    publish = (
        b"POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
        b"Authorization: Bearer %b\r\n\r\n%b" % (len(body), key["key"].encode(), body)
    )
    with sockets_of(guarded, key) as sockets, RawHttp(guarded.server.port) as kept:
        kept.send(publish)
        assert kept.answer()[0] == 200
        accepted(manager.delete(f"/api/keys/{key['id']}"))
        # On a connection that was open, and at once.
        kept.send(publish)
        assert kept.answer()[0] == 401
        all_closed(sockets)
    assert manager.topic("a")["last_seq"] == 4
    assert guarded.signed(key["key"]).get("/api/topics").code == "unauthenticated"
    # What it had out goes to others.
    with manager.socket() as other:
        other.subscribe("a", subscription="s")
        assert len(other.messages(4)) == 4


def test_a_key_that_is_given_less_loses_what_it_does_no_longer_give(guarded, manager, key):
    api = guarded.signed(key["key"])
    with api.socket() as reader, api.socket() as writer:
        reader.subscribe("a")
        accepted(manager.patch(f"/api/keys/{key['id']}", {"scopes": [{"scope": "publish"}]}))
        assert reader.closed(CLOSED_WITHIN_S) == (4503, "forbidden")
        writer.request("publish", topic="a", payload=1)
        with pytest.raises(Refused) as refused:
            writer.subscribe("a")
        assert refused.value.code == "forbidden"


def test_a_rotated_key_works_in_both_forms_until_the_overlap_ends(guarded, manager, key):
    path = f"/api/keys/{key['id']}/rotate"
    new = accepted(manager.post(path, {"overlap_s": 3.0}))
    ends_at = datetime.fromisoformat(new["rotating_until"])
    assert guarded.signed(new["key"]).get("/api/whoami").status == 200
    with (
        guarded.signed(key["key"]).socket() as former,
        guarded.signed(new["key"]).socket() as newer,
    ):
        former.request("publish", topic="a", payload="former")
        newer.request("publish", topic="a", payload="newer")
        assert former.closed(3.0 + CLOSED_WITHIN_S) == GONE
        assert now() >= ends_at
        newer.request("publish", topic="a", payload="newer")
    assert guarded.signed(key["key"]).get("/api/whoami").status == 401
    assert guarded.signed(new["key"]).get("/api/whoami").status == 200


def test_an_expired_token_publishes_nothing_more(guarded, manager, key):
    api = guarded.signed(key["key"])
    asked = {"scopes": [{"scope": "publish"}], "ttl_s": 2}
    made = accepted(api.post("/api/tokens", asked), 201)
    token, ends_at = made["token"], datetime.fromisoformat(made["expires_at"])
    with guarded.signed(token).socket() as socket, ENDS:
        while True:
            begun = now()
            receipt = socket.request("publish", topic="a", payload=1)
            assert begun < ends_at, receipt
    assert now() >= ends_at
    answer = guarded.signed(token).post("/api/publish", {"topic": "a", "payload": 1})
    assert (answer.status, answer.code) == (401, "unauthenticated")
    newest = manager.browse("a", order="desc")[0]
    # What was begun in time may be stored a little later.
    late = datetime.fromisoformat(newest["published_at"]) - ends_at
    assert late.total_seconds() < 1


def test_a_socket_whose_token_is_renewed_goes_on(guarded, key):
    api = guarded.signed(key["key"])

    def token(ttl_s):
        asked = {"scopes": [{"scope": "publish"}], "ttl_s": ttl_s}
        return accepted(api.post("/api/tokens", asked), 201)["token"]

    with guarded.signed(token(2)).socket() as renewed, guarded.signed(token(2)).socket() as other:
        renewed.request("auth", token=token(60))
        assert other.closed(2 + CLOSED_WITHIN_S) == GONE
        renewed.request("publish", topic="a", payload=1)


# Elsewhere ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(cluster):
    """Two servers on one database."""
    url = cluster.empty_database("ending_shared")
    with guarded_server(DATABASE_URL=url) as one:
        settings = {**one.server.env, "CONDUIT_ADMIN_KEY_FILE": "none"}
        for own in ("PORT", "NODE_ID"):
            del settings[own]
        with running_server(**settings) as server:
            two = Guarded.__new__(Guarded)
            two.server, two.operator = server, type(one.operator)(server.url, one.operator.key)
            yield one, two


def test_a_key_that_another_server_has_revoked_is_good_nowhere(shared):
    one, two = shared
    manager = one.create_tenant("elsewhere")
    manager.create_topic("a")
    key = one.create_key("elsewhere")
    with sockets_of(one, key) as sockets:
        until(lambda: two.signed(manager.key).get("/api/whoami").status == 200)
        accepted(two.signed(manager.key).delete(f"/api/keys/{key['id']}"))
        all_closed(sockets)
    assert one.signed(key["key"]).get("/api/whoami").status == 401


def statement(kind):
    """What the guide says to run."""
    found = re.search(rf"```sql\n-- {kind}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_a_key_is_revoked_in_the_database_as_the_guide_says(shared, cluster):
    one, _ = shared
    manager = one.create_tenant("directly")
    manager.create_topic("a")
    key = one.create_key("directly")
    with sockets_of(one, key) as sockets:
        told = statement("PostgreSQL").replace("KD0AFPa2", key["id"])
        # As the server's role: to a superuser no row is hidden.
        cluster.sql(told, "ending_shared", USER)
        all_closed(sockets)
    assert one.signed(key["key"]).get("/api/whoami").status == 401


def test_so_it_is_in_a_file():
    with guarded_server(**ALL_STORES["sqlite"]) as guarded:
        manager = guarded.create_tenant("directly")
        manager.create_topic("a")
        key = guarded.create_key("directly")
        with sockets_of(guarded, key) as sockets:
            path = guarded.server.directory / "conduit.db"
            with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
                database.executescript(statement("SQLite").replace("KD0AFPa2", key["id"]))
            all_closed(sockets)


# Another pepper -----------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_server_gets_another_pepper_as_the_guide_says(store, cluster):
    settings = dict(ALL_STORES[store])
    if store == "postgres":
        settings["DATABASE_URL"] = cluster.empty_database("another_pepper")
    with guarded_server(**settings) as guarded:
        server, former = guarded.server, guarded.operator.key
        manager = guarded.create_tenant("kept")
        manager.create_topic("a")
        server.terminate()
        (server.directory / "admin-key").unlink()
        server.env["CONDUIT_KEY_PEPPER"] = "another-pepper-of-16-and-more"
        with pytest.raises(ServerError, match="were made without one"):
            server.start()
        if store == "postgres":
            cluster.sql(statement("Another pepper, in PostgreSQL"), "another_pepper", USER)
        else:
            with contextlib.closing(sqlite3.connect(server.directory / "conduit.db")) as database:
                database.executescript(statement("Another pepper, in SQLite"))
        server.start()
        again = Guarded(server)
        assert again.operator.get("/api/whoami").status == 200
        assert again.acting("kept").topic("a")["name"] == "a"
        for key in (former, manager.key):
            assert again.signed(key).get("/api/whoami").status == 401
