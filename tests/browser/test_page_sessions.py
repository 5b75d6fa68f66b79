"""The session of a page, and who else is at the same browser: another tab, a page of another origin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import WAIT_MAX_MS, sign_in, signed_in
from tests.browser.pages import serving_pages
from tests.support.access import Guarded, guarded_server
from tests.support.http import accepted

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        guarded.create_tenant("acme")
        yield guarded


def of_tenant(request: Any) -> str | None:
    """Whom an operator's page looks after when it asks; None: its own."""
    return request.headers.get("x-conduit-tenant")


def test_a_page_does_nothing_for_who_has_signed_in_in_another_tab(browser, guarded):
    """The cookie is that one's by then: what somebody has typed is not done to what another one has."""
    keys = {tenant: guarded.create_key(tenant)["key"] for tenant in ("acme", "default")}
    for tenant in keys:
        accepted(guarded.acting(tenant).post("/api/topics", {"name": "same"}), 201)
    with signed_in(browser, guarded.server, "topics/same?tab=settings", keys["acme"]) as page:
        # Tabs cannot tell each other: it hears of it only by what he does.
        page.context.add_init_script("delete globalThis.BroadcastChannel")
        page.reload()
        page.get_by_label("How often it is refreshed").select_option("Paused")
        page.get_by_role("button", name="Delete…").first.click()
        page.get_by_label("Type same to delete it").fill("same")
        other = page.context.new_page()
        other.goto(f"{guarded.server.url}/ui/topics")
        other.get_by_role("button", name=re.compile("a key")).first.click()
        other.get_by_role("button", name="Sign out").click()
        sign_in(other, keys["default"])
        other.get_by_role("heading", name="Topics", exact=True).wait_for()
        page.get_by_role("button", name=re.compile("^Delete topic and")).click()
        page.get_by_text("default", exact=True).first.wait_for()
        for tenant in keys:
            assert guarded.acting(tenant).delete("/api/topics/same").status == 204


def test_nothing_is_called_live_while_nobody_is_signed_in(browser, guarded):
    made = guarded.create_key("default")
    with signed_in(browser, guarded.server, "topics", made["key"]) as page:
        live = page.get_by_text("Live", exact=True)
        live.wait_for()
        other = page.context.browser.new_context().new_page()
        other.goto(f"{guarded.server.url}/ui/topics")
        other.get_by_label("API key").wait_for()
        assert other.get_by_text("Conduit", exact=True).is_visible()
        assert other.get_by_text("Live", exact=True).count() == 0
        other.context.close()
        accepted(guarded.operator.delete(f"/api/keys/{made['id']}"))
        page.get_by_role("heading", name="Sign in again").wait_for()
        live.wait_for(state="detached")


def test_a_page_of_another_origin_can_do_nothing_with_the_session(browser, guarded):
    operator = str(guarded.operator.key)
    with signed_in(browser, guarded.server, "topics", operator) as page, serving_pages() as port:
        (cookie,) = page.context.cookies()
        foreign = page.context.new_page()
        # Of the same host, so the browser sends the cookie along: ports do not matter to it.
        foreign.goto(f"http://127.0.0.1:{port}/")
        tried = foreign.evaluate(
            """async ([http, ws]) => {
              const call = (path, options) => fetch(http + path, {credentials: "include", ...options})
                .then(async answer => answer.type === "opaque" ? "opaque" : answer.status, () => "blocked");
              const mark = {"x-conduit-session": "1"};
              const json = {"content-type": "application/json"};
              const socket = () => new Promise(done => {
                const open = new WebSocket(ws);
                open.onopen = () => open.send(JSON.stringify({type: "subscribe", topic: "x"}));
                open.onclose = ({code}) => done(code);
              });
              return [
                await call("/api/topics"),
                await call("/api/topics", {headers: mark}),
                await call("/api/session", {method: "DELETE", headers: mark}),
                await call("/api/session", {method: "DELETE"}),
                await call("/api/topics", {method: "POST", mode: "no-cors", body: '{"name":"evil"}'}),
                await call("/api/topics",
                  {method: "POST", headers: {...mark, ...json}, body: '{"name":"evil"}'}),
                await socket(),
              ];
            }""",
            [guarded.server.url, guarded.server.ws_url],
        )
        assert tried == [*["blocked"] * 4, "opaque", "blocked", 4501]
        assert guarded.operator.get("/api/topics/evil").status == 404
        page.reload()
        page.get_by_role("button", name=re.compile("Signed in as")).wait_for()
        assert page.context.cookies()[0]["value"] == cookie["value"]


def test_a_link_to_another_tenant_that_is_only_pointed_at_changes_nobody(browser, guarded):
    """Its page's code is fetched by then; what is asked after it is asked for the same tenant."""
    operator = str(guarded.operator.key)
    with signed_in(browser, guarded.server, "tenants?name=acme", operator) as page:
        link = page.get_by_role("link", name="Look at it as its operator")
        tenants: list[str | None] = []
        with page.expect_response(re.compile("/assets/overview")):
            link.hover()
        page.on("request", lambda request: tenants.append(of_tenant(request)))
        with page.expect_response(re.compile("/api/tenants")):
            pass
        assert set(tenants) == {None}
        assert page.url.endswith("tenants?name=acme")
        with page.expect_request(lambda request: of_tenant(request) == "acme"):
            link.click()


def test_what_becomes_of_another_tab_when_a_session_is_followed_by_another_one(browser, guarded):
    """Of the same person it goes on with all that it has; somebody else finds nothing of him, and stays."""
    alice = guarded.create_key("default", name="Alice")
    bob = guarded.create_key("acme", name="Bob")
    guarded.operator.create_topic("tabs")
    view = f"api-keys?key={alice['id']}"
    with signed_in(browser, guarded.server, view, alice["key"], may_be_away=True) as page:
        other = page.context.new_page()
        other.set_default_timeout(WAIT_MAX_MS)
        other.goto(f"{guarded.server.url}/ui/playground?topic=tabs")
        payload, came = (
            other.get_by_label("Payload"),
            other.get_by_text("Subscribed to tabs; 1 came"),
        )
        payload.fill('{"of": "Alice"}')
        other.get_by_role("button", name="Subscribe", exact=True).click()
        other.get_by_text("Subscribed to tabs").wait_for()
        rotate(page)
        put_away(page)
        # It is told by nobody but the server that there is another session, and whose.
        other.get_by_text("Connected", exact=True).wait_for()
        other.get_by_role("button", name="Publish", exact=True).click()
        came.wait_for()
        assert payload.input_value() == '{"of": "Alice"}'
        tried = failing_sign_ins(page)
        rotate(page)
        put_away(page)
        page.get_by_role("heading", name="Sign in again").wait_for()
        sign_in(other, bob["key"])
        other.get_by_role("button", name="Signed in as Bob").wait_for()
        assert "Alice" not in payload.input_value()
        count = len(tried)
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        # The dialog of the key that Alice had open is before it.
        page.get_by_role("button", name="Signed in as Bob", include_hidden=True).wait_for()
        assert len(tried) == count > 0


def test_who_signs_out_leaves_no_secret_in_another_tab(browser, guarded):
    alice = guarded.create_key("default", name="Alice")
    view = f"api-keys?key={alice['id']}"
    with signed_in(browser, guarded.server, view, alice["key"], may_be_away=True) as page:
        rotate(page)
        signing_out(page)
        page.locator("[data-secret]").wait_for(state="detached")
        page.get_by_role("heading", name="Sign in again").wait_for()
        assert violations(page) == []


def test_what_somebody_was_about_to_make_is_not_there_for_the_next_who_signs_in(browser, guarded):
    alice = guarded.create_key("default", name="Alice")
    bob = guarded.create_key("acme", name="Bob")
    with signed_in(browser, guarded.server, "topics?create=true", alice["key"]) as page:
        dialog = page.get_by_role("dialog", name="Create a topic")
        dialog.get_by_label("Name").fill("of.alice")
        other = signing_out(page)
        page.get_by_role("heading", name="Sign in again").wait_for()
        sign_in(other, bob["key"])
        other.get_by_role("button", name="Signed in as Bob").wait_for()
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        page.get_by_role("button", name="Signed in as Bob").wait_for()
        assert page.get_by_role("dialog").count() == 0


def test_another_tab_hears_at_once_that_somebody_has_signed_out_also_if_it_is_paused(
    browser, guarded
):
    alice = guarded.create_key("default", name="Alice")
    with signed_in(browser, guarded.server, "topics", alice["key"]) as page:
        page.get_by_label("How often it is refreshed").select_option("Paused")
        signing_out(page)
        page.get_by_role("heading", name="Sign in again").wait_for()


def signing_out(page: Any) -> Any:
    """Another tab, in which Alice signs out."""
    other = page.context.new_page()
    other.set_default_timeout(WAIT_MAX_MS)
    other.goto(f"{page.url.split('/ui/')[0]}/ui/topics")
    other.get_by_role("button", name="Signed in as Alice").click()
    other.get_by_role("button", name="Sign out").click()
    return other


def rotate(page: Any) -> None:
    page.get_by_role("button", name="Rotate…").click()
    page.get_by_role("button", name="Rotate key Alice").click()
    page.locator("[data-secret]").wait_for()


def put_away(page: Any) -> None:
    page.get_by_label("I have put it where it is needed").check()
    page.get_by_role("button", name="Done").click()
    page.locator("[data-secret]").wait_for(state="detached")


def failing_sign_ins(page: Any) -> list[Any]:
    """Those that the page tries: none comes to the server."""
    tried: list[Any] = []

    def refuse(route: Any) -> None:
        tried.append(route.request)
        route.abort("connectionrefused")

    page.route("**/api/session", refuse)
    return tried
