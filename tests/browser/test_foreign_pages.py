"""What a page of another origin can do, in a real browser: nothing without a key, with one what it says."""

import contextlib
import json
from typing import NamedTuple

import pytest

from tests.support.http import Api
from tests.support.server import RunningServer, free_port, running_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

TOPIC = "t"
SECRET = "a message that nobody may see"


@pytest.fixture(scope="module")
def pages():
    # Here, because the fast tests collect this file where Playwright is not installed.
    from tests.browser.pages import serving_pages

    with serving_pages() as port:
        yield port


class Place(NamedTuple):
    """A server, and somebody who may do everything there."""

    server: RunningServer
    headers: dict[str, str]

    def call(self, method: str, path: str, body: object = None):
        content = None if body is None else json.dumps(body).encode()
        return Api(self.server.url).request(method, path, content, self.headers)

    def state(self) -> object:
        """All that a page could have changed."""
        seen = [self.call("GET", path).json for path in ("/api/topics", "/api/subscriptions")]
        seen.append(self.call("GET", f"/api/topics/{TOPIC}/messages").json)
        if self.headers:
            seen.append(self.call("GET", "/api/keys").json)
        for topic in seen[0]["topics"]:
            del topic["subscriber_count"]
        for key in seen[-1].get("keys", ()):
            del key["last_used_at"]
        return seen


@contextlib.contextmanager
def place(**settings: str):
    with running_server(**settings) as server:
        headers = {}
        if "ENABLE_AUTH" in settings:
            key = (server.directory / "conduit-admin-key").read_text().strip()
            headers = {"authorization": f"Bearer {key}"}
        one = Place(server, headers)
        one.call("POST", "/api/topics", {"name": TOPIC})
        one.call("POST", "/api/subscriptions", {"name": "s", "topic": TOPIC})
        one.call("POST", "/api/publish", {"topic": TOPIC, "payload": SECRET})
        yield one


@pytest.fixture(scope="module", params=["127.0.0.1", "localhost"])
def origin(request, pages):
    """Of another port, on the same name and on another."""
    return f"http://{request.param}:{pages}"


@contextlib.contextmanager
def a_page(browser, origin: str, one: Place, key: str = "", topic: str = TOPIC):
    from tests.browser.pages import Tries

    page = Tries(browser, origin, one.server.url, topic, key)
    try:
        yield page
    finally:
        page.close()


def learned(tries: dict[str, object]) -> dict[str, object]:
    return {name: found for name, found in tries.items() if found != "blocked"}


def test_where_other_origins_are_named_a_page_can_neither_read_nor_write(browser, origin):
    with place(CORS_ORIGIN="https://app.example") as one, a_page(browser, origin, one) as page:
        before = one.state()
        assert learned(page.all()) == {}
        assert one.state() == before
    # And a page that is named can do all of it.
    with (
        place(CORS_ORIGIN=f"https://app.example,{origin}") as one,
        a_page(browser, origin, one) as page,
    ):
        assert SECRET in page.run("read_message")["body"]
        assert page.run("publish")["status"] == 200
        assert "published" in page.run("socket")
        assert page.run("simple_text") == "blocked"
        assert page.run("remove")["status"] == 204


def test_pages_of_the_server_itself_are_no_strangers(browser):
    with place(CORS_ORIGIN="https://app.example") as one:
        # The page is the server's own: the tries are put into it.
        from tests.browser.pages import TRIES

        page = browser.new_page()
        page.goto(f"{one.server.url}/")
        page.evaluate(TRIES)
        to = [one.server.url, one.server.ws_url, TOPIC, ""]
        run = "([name, to]) => window.tries(...to)[name]()"
        assert SECRET in page.evaluate(run, ["read_message", to])["body"]
        assert page.evaluate(run, ["publish", to])["status"] == 200
        assert "published" in page.evaluate(run, ["socket", to])
        page.close()


SIMPLE = {"simple_text", "simple_bytes", "simple_blob", "simple_form", "simple_parts", "beacon_text",
          "beacon_bytes", "form_text", "form_coded", "form_parts"}  # fmt: skip


def test_where_all_may_call_no_request_without_a_preflight_writes(browser, origin):
    with place() as one, a_page(browser, origin, one) as page:
        before = one.state()
        assert learned({name: page.run(name) for name in SIMPLE}) == {}
        assert one.state() == before
        # What the documentation says of it.
        assert SECRET in page.run("read_message")["body"]
        assert page.run("publish")["status"] == 200


def test_with_authentication_a_page_without_a_key_can_neither_read_nor_write(browser, origin):
    with place(ENABLE_AUTH="true") as one, a_page(browser, origin, one) as page:
        before = one.state()
        found = learned(page.all())
        assert found.pop("health")["body"] == '{"status":"ok"}'
        for name, answer in found.items():
            assert answer["status"] == 401, name
            assert SECRET not in answer["body"]
        assert one.state() == before


@pytest.mark.parametrize("kind", ["keys", "tokens"])
def test_with_a_key_or_a_token_a_page_does_what_that_says_and_nothing_else(browser, pages, kind):
    origin = f"http://localhost:{pages}"
    with place(ENABLE_AUTH="true") as one:
        one.call("POST", "/api/topics", {"name": "page.a"})
        scopes = [{"scope": scope, "topics": ["page.>"]} for scope in ("publish", "subscribe")]
        asked = {"scopes": scopes, **({"name": "for pages"} if kind == "keys" else {})}
        made = one.call("POST", f"/api/{kind}", asked)
        assert made.status == 201
        credential = made.json["key" if kind == "keys" else "token"]
        before = one.state()
        with a_page(browser, origin, one, credential) as page:
            found = learned(page.all())
            del found["health"]
            # What it may see is its own topic.
            shown = json.loads(found.pop("read")["body"])
            assert [topic["name"] for topic in shown["topics"]] == ["page.a"]
            assert found.pop("socket") == ["authenticated"]
            for name, answer in found.items():
                assert answer["status"] in (401, 403), (name, answer)
                assert SECRET not in answer["body"]
        assert one.state() == before
        with a_page(browser, origin, one, credential, topic="page.a") as page:
            assert page.run("publish")["status"] == 200
            assert page.run("batch")["status"] == 200
            assert set(page.run("socket")) >= {"authenticated", "subscribed", "published"}
            for name in ("create", "remove", "pause", "keys", "metrics"):
                assert page.run(name)["status"] == 403, name
            # The key does nothing where it is not given.
            for name in SIMPLE | {"framed", "image", "script", "source"}:
                assert page.run(name) == "blocked", name
        topics = {topic["name"]: topic for topic in one.call("GET", "/api/topics").json["topics"]}
        assert topics["page.a"]["message_count"] == 3


def test_a_ticket_opens_one_websocket_of_a_page(browser, pages):
    with place(ENABLE_AUTH="true") as one:
        from tests.browser.pages import Tries

        ticket = one.call("POST", "/api/tickets", {}).json["ticket"]
        page = Tries(browser, f"http://localhost:{pages}", one.server.url, TOPIC)
        page.use_ticket(ticket)
        assert set(page.run("socket")) >= {"subscribed", "published"}
        assert page.run("socket") == "blocked"
        page.close()


def test_a_page_cannot_read_the_operators_port(browser, origin):
    from tests.browser.pages import Tries

    port = free_port()
    with running_server(CONDUIT_ADMIN_PORT=str(port)):
        page = Tries(browser, origin, f"http://127.0.0.1:{port}", TOPIC)
        for name in ("metrics", "health", "image", "script", "framed"):
            assert page.run(name) == "blocked", name
        page.close()
        # It is there for others.
        assert Api(f"http://127.0.0.1:{port}").get("/metrics").status == 200
