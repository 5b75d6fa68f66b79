"""What is answered after its page has changed: no secret is lost, and every outcome is told."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import UNKNOWN, sign_in, signed_in, watched
from tests.support.access import Guarded, guarded_server
from tests.support.http import accepted

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

TOPIC = "orders.a"
SUBSCRIBE = {"scopes": [{"scope": "subscribe"}]}
# A browser may not allow it.
TRIED = re.compile("^(Copied|Not allowed)")


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        api = guarded.signed(guarded.create_key("default")["key"])
        api.create_topic(TOPIC)
        with api.socket() as socket:
            socket.subscribe(TOPIC, subscription="billing")
            for number in range(2):
                api.publish(TOPIC, number)
            for message in socket.messages(2):
                socket.request("reject", message_id=message["message_id"], reason="no")
        yield guarded


@contextlib.contextmanager
def held(page: Any, path: str, method: str = "POST") -> Iterator[list[Any]]:
    """What is asked for at such a path comes to the server when the block ends."""
    waiting: list[Any] = []

    def keep(route: Any) -> None:
        if route.request.method == method:
            waiting.append(route)
        else:
            route.fallback()

    page.route(re.compile(path), keep)
    yield waiting
    (one,) = waiting
    one.continue_()
    page.unroute_all()


def put_away(page: Any) -> str:
    """The secret that is shown, of which somebody says then that he has it."""
    secret = str(page.locator("[data-secret]").inner_text())
    page.get_by_label("I have put it where it is needed").check()
    page.get_by_role("button", name="Done").click()
    page.locator("[data-secret]").wait_for(state="detached")
    return secret


def test_the_secret_of_ones_own_key_is_lost_with_no_session_and_no_right(browser, guarded):
    made = guarded.create_key("default")
    view = f"api-keys?key={made['id']}"
    with signed_in(browser, guarded.server, view, made["key"], may_be_away=True) as page:
        page.get_by_role("button", name="Rotate…").click()
        page.get_by_label("The secret before is good").select_option(label="not any more")
        # Its session has ended, and with the new secret nobody gets another one yet.
        page.route("**/api/session", lambda route: route.abort("connectionrefused"))
        with page.expect_response(
            lambda answer: answer.url.endswith("/api/whoami") and answer.status == 401
        ):
            page.get_by_role("button", name="Rotate key a key").click()
        page.locator("[data-secret]").wait_for()
        assert page.get_by_role("heading", name="Sign in again").count() == 0
        # It is not only there: it can be copied.
        page.get_by_role("button", name="Copy the key").click()
        page.get_by_role("button", name="Copy the key").get_by_text(TRIED).wait_for()
        assert violations(page) == []
        secret = put_away(page)
        page.get_by_role("heading", name="Sign in again").wait_for()
        page.unroute_all()
        # It was tried again and again meanwhile.
        page.get_by_role("heading", name="Sign in again").wait_for(state="detached")
        assert guarded.signed(secret).get("/api/whoami").status == 200
        page.get_by_role("button", name="Rotate…").click()
        page.get_by_role("button", name="Rotate key a key").click()
        page.locator("[data-secret]").wait_for()
        # The page learns it by what it is refused, and not a minute later.
        accepted(guarded.operator.patch(f"/api/keys/{made['id']}", SUBSCRIBE))
        shown = page.get_by_text("The key has no scope manage.").locator("visible=true")
        shown.first.wait_for(timeout=25_000)
        assert violations(page) == []
        assert guarded.signed(put_away(page)).get("/api/whoami").status == 200


def test_what_becomes_of_an_act_is_told_when_what_it_is_of_goes_meanwhile(browser, guarded):
    accepted(guarded.operator.post("/api/tenants", {"name": "going", "limits": {}}), 201)
    operator = str(guarded.operator.key)
    with signed_in(browser, guarded.server, "api-keys?tenant=going", operator) as page:
        page.get_by_role("button", name="Create key").click()
        page.get_by_role("textbox", name="Name", exact=True).fill("desk")
        page.get_by_role("checkbox", name=re.compile("^subscribe")).check()
        with held(page, "/api/keys$"):
            page.get_by_role("dialog").get_by_role("button", name="Create key").click()
            page.get_by_role("button", name="Creating…").wait_for()
            assert guarded.operator.delete("/api/tenants/going").status == 204
            page.get_by_text("There is no tenant “going”").wait_for()
        page.get_by_role("alert").filter(has_text="The key was not created").wait_for()
        # A seek whose subscription is deleted: its dialog stays, and tells it.
        page.goto(f"{guarded.server.url}/ui/subscriptions/billing")
        page.get_by_role("button", name="Seek…").click()
        page.get_by_role("button", name="Preview").click()
        with held(page, "/seek$"):
            page.get_by_role("button", name=re.compile("^Seek, and")).click()
            page.get_by_role("button", name="Seeking…").wait_for()
            assert guarded.operator.delete("/api/subscriptions/billing").status == 204
            page.get_by_text("It cannot be shown").wait_for()
        dialog = page.get_by_role("dialog", name="Seek billing")
        dialog.get_by_text("The seek was not done").wait_for()
        dialog.get_by_role("button", name="Leave it").click()
        dialog.wait_for(state="detached")


def test_a_deletion_is_confirmed_for_a_while(browser, guarded):
    guarded.operator.create_topic("brief")
    guarded.operator.publish_many("brief", [1, 2])
    view = "topics/brief?tab=messages"
    with signed_in(browser, guarded.server, view, str(guarded.operator.key)) as page:
        # What lies on a row can be pointed at, and opens the row.
        moment = page.get_by_role("row").filter(has_text="Message 1").locator("time")
        moment.hover()
        assert moment.evaluate(POINTED_AT)
        moment.click()
        page.get_by_role("heading", name="brief 1").wait_for()
        page.goto(f"{guarded.server.url}/ui/{view}&read=live")
        page.get_by_text("Connected").wait_for()
        page.get_by_role("table").get_by_role("rowgroup").last.focus()
        page.get_by_role("button", name="To the newest").click()
        page.get_by_role("link", name="Settings").click()
        page.get_by_role("button", name="Delete…").first.click()
        page.get_by_label("Type brief to delete it").fill("brief")
        page.get_by_role("button", name="Delete topic and 2 messages").click()
        said = page.get_by_text("Topic “brief” was deleted, 2 messages")
        said.wait_for()
        page.get_by_role("heading", name="Topics", exact=True).wait_for()
        assert violations(page) == []
        said.wait_for(state="detached")


POINTED_AT = """element => {
  const {x, y, width, height} = element.getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2).title.includes("20");
}"""


def test_lists_of_an_operator_are_read_whole_on_a_narrow_screen(browser, guarded):
    acme = guarded.create_tenant("acme")
    team = guarded.signed(guarded.create_key("acme", name="orders team")["key"])
    acme.create_topic("audited")
    assert team.delete("/api/topics/audited").status == 204
    narrow = {"viewport": {"width": 390, "height": 844}}
    operator = str(guarded.operator.key)
    with signed_in(browser, guarded.server, "audit", operator, **narrow) as page:
        # Of another tenant's key it is said what it is called.
        page.get_by_role("link", name="orders team").first.wait_for()
        for view in ("audit", "api-keys", "tenants"):
            page.goto(f"{guarded.server.url}/ui/{view}")
            table = page.get_by_role("table")
            table.get_by_role("cell").first.wait_for()
            assert table.evaluate("one => one.parentElement.scrollWidth <= one.clientWidth"), view
            assert violations(page) == [], view


def test_the_overview_of_a_key_for_some_topics_says_whose_its_figures_are(browser, guarded):
    key = guarded.create_key("default", "manage", topics=["orders.>"])["key"]
    with signed_in(browser, guarded.server, "", key) as page:
        page.get_by_text("are of the whole tenant default, and not of orders.> alone").wait_for()
        page.get_by_text("Of those that your key may read: orders.>.").wait_for()
        assert violations(page) == []
    with watched(browser, guarded.server, "") as (page, watch):
        watch.meant.append(UNKNOWN)
        sign_in(page, guarded.create_key("default")["key"])
        page.get_by_role("heading", name="Busiest topics").wait_for()
        assert page.get_by_text("of the whole tenant").count() == 0
