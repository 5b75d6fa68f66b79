"""The dashboard where keys are asked for: signing in, keys, tenants, the audit log."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.axe import look_over, violations
from tests.browser.dashboard import (
    UNKNOWN,
    settled,
    sign_in,
    signed_in,
    watched,
)
from tests.support.access import Guarded, guarded_server
from tests.support.http import accepted

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

# Turns all that follows, until its isolation ends.
TURNED = "\u202e"
ISOLATED = "\u2069"
# All that scripts of the page can read.
KEPT = (
    "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href, name])"
)
VIEWS = (
    "api-keys",
    "api-keys?keys=all",
    "tenants",
    "audit",
    "tenants?name=acme",
    "dead-letters?tenant=blue",
)
# View, and what opens a dialog there.
DIALOGS = (
    ("api-keys", "Create key"),
    ("tenants", "Create tenant"),
    ("tenants?name=blue", "Change limits…"),
    ("audit", "Details of ", "Signed in as"),
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        acme = guarded.create_tenant("acme", topics=4, stored_bytes=1 << 20, publishes_per_s=100)
        for number in range(3):
            acme.create_topic(f"orders.{number}")
        guarded.create_tenant("blue", topics=1).create_topic("only")
        yield guarded


@contextlib.contextmanager
def page_of(browser: Any, guarded: Guarded, view: str) -> Iterator[Any]:
    with watched(browser, guarded.server, view) as (page, watch):
        watch.meant.append(UNKNOWN)
        yield page


def operating(browser: Any, guarded: Guarded, view: str, key: str = "") -> Any:
    """The view of who has the key, or of the operator."""
    return signed_in(browser, guarded.server, view, key or str(guarded.operator.key))


def test_one_signs_in_by_keyboard_and_the_key_is_nowhere_that_scripts_read(browser, guarded):
    key = guarded.create_key("default")["key"]
    with page_of(browser, guarded, "topics?q=or") as page:
        addresses: list[str] = []
        page.on("request", lambda request: addresses.append(request.url))
        page.get_by_role("heading", name="Sign in").wait_for()
        # The field has the focus.
        page.get_by_label("API key").wait_for()
        page.keyboard.type("ck_live_wrong")
        page.keyboard.press("Enter")
        page.get_by_text("This key is wrong").first.wait_for()
        assert page.evaluate("document.activeElement.type") == "password"
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        page.get_by_text("No topic has “or” in its name").wait_for()
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
        for secret in (key, cookie["value"]):
            assert secret not in page.evaluate(KEPT)
            assert not [url for url in addresses if secret in url]
            assert secret not in guarded.server.log_text()
        # Nobody signs in again after a reload, and the place is kept.
        page.reload()
        page.get_by_text("No topic has “or” in its name").wait_for()
        page.get_by_role("button", name="Signed in as a key").click()
        page.get_by_text("publish; subscribe; manage").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        assert page.context.cookies() == []
        # It is not enough to have kept the cookie.
        page.context.add_cookies([cookie])
        page.reload()
        page.get_by_role("heading", name="Sign in").wait_for()
        assert page.url.endswith("/ui/topics?q=or")


def secret_kept(operator: Any) -> str:
    """Of the key whose form is filled in: it is not lost by whoever does all to leave meanwhile."""
    held: list[Any] = []
    operator.route(re.compile(r"/api/keys$"), lambda route: held.append(route))
    operator.get_by_role("dialog").get_by_role("button", name="Create key").dblclick()
    operator.get_by_role("button", name="Creating…").wait_for()
    # What was sent is not taken back, and its answer is told nowhere else.
    operator.keyboard.press("Escape")
    operator.get_by_role("button", name="Cancel").click(force=True)
    operator.go_back()
    operator.get_by_text("It has been sent: what came").wait_for()
    (one,) = held
    one.continue_()
    operator.get_by_text("the only time that the key is shown").wait_for()
    operator.unroute_all()
    key = operator.locator("[data-secret]").inner_text()
    assert re.fullmatch(r"ck_live_\w+", key)
    assert key not in operator.evaluate(KEPT)
    operator.keyboard.press("Escape")
    operator.locator("[data-secret]").wait_for()
    operator.go_back()
    operator.get_by_text("Whoever leaves now has lost the key.").wait_for()
    operator.get_by_role("button", name="Stay").click()
    assert operator.locator("[data-secret]").inner_text() == key
    assert operator.url.endswith("/ui/api-keys?tenant=acme")
    return key


def test_a_key_is_made_used_in_a_browser_and_revoked_while_the_page_is_open(browser, guarded):
    with operating(browser, guarded, "api-keys?tenant=acme") as operator:
        operator.get_by_role("link", name="Tenants", exact=True).click()
        operator.get_by_role("link", name="API keys", exact=True).click()
        operator.get_by_role("button", name="Create key").click()
        operator.get_by_role("textbox", name="Name", exact=True).fill("support desk")
        operator.get_by_role("checkbox", name=re.compile("^subscribe")).check()
        operator.get_by_label("Only these topics, or patterns (subscribe)").fill("orders.>")
        operator.get_by_label("It ends").select_option(label="in 30 days")
        operator.get_by_text("Limits of its own").click()
        operator.get_by_label("Connections").fill("25")
        assert violations(operator) == []
        key = secret_kept(operator)
        operator.get_by_label("I have put it where it is needed").check()
        operator.get_by_role("button", name="Done").click()
        operator.get_by_role("link", name="support desk").wait_for()
        assert key not in operator.content()
        with operating(browser, guarded, "topics", key) as page:
            # What the key may not do says so, and does nothing.
            create = page.get_by_role("button", name="Create topic").first
            assert "no scope manage" in create.get_attribute("title")
            create.click(force=True)
            assert page.get_by_role("dialog").count() == 0
            page.get_by_role("link", name="orders.1").click()
            page.reload()
            page.get_by_text("Messages stored").wait_for()
            operator.get_by_role("link", name="support desk").click()
            operator.get_by_text("Connections: 25").wait_for()
            operator.get_by_role("button", name="Revoke…").click()
            operator.get_by_label("Type support desk to revoke it").fill("support desk")
            operator.get_by_role("button", name="Revoke key support desk").click()
            operator.get_by_text("Key “support desk” of tenant acme was revoked").wait_for()
            operator.get_by_text("revoked", exact=True).first.wait_for()
            page.get_by_role("heading", name="Sign in again").wait_for()
            # The page is there still, below it.
            assert page.get_by_text("Messages stored").count() == 1
            assert violations(page) == []
            sign_in(page, key)
            page.get_by_text("This key is wrong").first.wait_for()
            sign_in(page, guarded.create_key("acme")["key"])
            page.get_by_role("dialog").wait_for(state="detached")
            page.get_by_text("Messages stored").wait_for()
            assert page.url.endswith("/ui/topics/orders.1")


def test_who_rotates_his_own_key_stays_signed_in_and_others_with_it_do_not(browser, guarded):
    made = guarded.create_key("default")
    view = f"api-keys?key={made['id']}"
    with (
        operating(browser, guarded, view, made["key"]) as page,
        operating(browser, guarded, "topics", made["key"]) as other,
    ):
        page.get_by_role("button", name="Rotate…").click()
        page.get_by_label("The secret before is good").select_option(label="an hour more")
        page.get_by_role("button", name="Rotate key a key").click()
        key = page.locator("[data-secret]").inner_text()
        assert key != made["key"]
        assert page.get_by_text("The key is not shown").count() == 0
        page.get_by_label("I have put it where it is needed").check()
        page.get_by_role("button", name="Done").click()
        page.get_by_text("rotating", exact=True).first.wait_for()
        # What had it before is gone.
        page.wait_for_function("document.activeElement.closest('[role=dialog]') !== null")
        other.get_by_role("heading", name="Sign in again").wait_for()
        page.reload()
        page.get_by_text("you are signed in with it").wait_for()
        assert page.get_by_role("heading", name="Sign in again").count() == 0
        sign_in(other, made["key"])
        other.get_by_text("this secret of the key was rotated").first.wait_for()


def test_the_fields_of_a_key_are_edited_while_somebody_uses_it(browser, guarded):
    made = guarded.create_key("acme", "subscribe", topics=["none.>"])
    with (
        operating(browser, guarded, f"api-keys?tenant=acme&key={made['id']}") as operator,
        operating(browser, guarded, "topics", made["key"]) as page,
    ):
        page.get_by_role("heading", name="Topics", exact=True).wait_for()
        assert page.get_by_role("link", name="orders.1").count() == 0
        operator.get_by_role("button", name="Change…").click()
        save = operator.get_by_role("button", name="Save key a key")
        assert "Nothing is changed" in save.get_attribute("title")
        operator.get_by_role("textbox", name="Name", exact=True).fill("desk")
        operator.get_by_label("Only these topics, or patterns (subscribe)").fill("orders.>")
        operator.get_by_label("It ends").select_option(label="in 7 days")
        operator.get_by_label("Connections").fill("9")
        assert violations(operator) == []
        save.click()
        operator.get_by_role("heading", name="desk").wait_for()
        operator.get_by_text(re.compile("orders.>")).first.wait_for()
        operator.get_by_text("Connections: 9").wait_for()
        page.get_by_role("link", name="orders.1").wait_for(timeout=30_000)
        key = guarded.acting("acme").get(f"/api/keys/{made['id']}").json
        # What it is called is typed as it is seen, and turns none of the words around it.
        renamed = {"name": f"old  desk {TURNED}"}
        accepted(guarded.acting("acme").patch(f"/api/keys/{made['id']}", renamed))
        operator.get_by_role("heading", name="old desk").wait_for()
        operator.get_by_role("button", name="Revoke…").click()
        operator.get_by_label(re.compile("^Type .+ to revoke it")).fill("old desk")
        revoke = operator.get_by_role("button", name="Revoke key")
        assert revoke.get_attribute("aria-disabled") != "true"
        assert revoke.inner_text().endswith(f"{TURNED}{ISOLATED}")
    assert (key["name"], key["scopes"]) == (
        "desk",
        [{"scope": "subscribe", "topics": ["orders.>"]}],
    )
    assert (key["limits"]["connections"], key["expires_at"] is None) == (9, False)


def test_an_operator_makes_a_tenant_bounds_it_looks_at_it_and_deletes_it(browser, guarded):
    with operating(browser, guarded, "tenants") as page:
        page.get_by_role("button", name="Create tenant").click()
        page.get_by_role("textbox", name="Name", exact=True).fill("Green")
        page.get_by_text("1 to 63 characters").wait_for()
        page.get_by_role("textbox", name="Name", exact=True).fill("green")
        page.get_by_role("textbox", name="Topics").fill("5")
        page.get_by_role("dialog").get_by_role("button", name="Create tenant").click()
        page.get_by_role("link", name="green").click()
        assert page.url.endswith("/ui/tenants?name=green")
        page.get_by_text("0 of 5").last.wait_for()
        page.get_by_role("button", name="Change limits…").click()
        page.get_by_role("textbox", name="Topics").fill("7")
        page.get_by_role("button", name="Change the limit").click()
        page.get_by_text("0 of 7").last.wait_for()
        assert accepted(guarded.operator.get("/api/tenants/green"))["limits"] == {"topics": 7}
        page.reload()
        page.get_by_role("link", name="Look at it as its operator").click()
        page.get_by_role("heading", name="Overview").wait_for()
        assert page.url.endswith("tenant=green")
        assert page.get_by_label("Tenant", exact=True).locator("option").all_inner_texts() == [
            "All tenants",
            "default (own)",
            *("acme", "blue", "green"),
        ]
        page.goto(f"{guarded.server.url}/ui/tenants?name=green")
        page.get_by_role("button", name="Delete…").click()
        page.get_by_label("Type green to delete it").fill("green")
        assert violations(page) == []
        page.get_by_role("button", name="Delete tenant and 0 keys").click()
        page.get_by_role("dialog").wait_for(state="detached")
        assert guarded.operator.get("/api/tenants/green").status == 404
        page.goto(f"{guarded.server.url}/ui/tenants?name=acme")
        delete = page.get_by_role("button", name="Delete…")
        assert "3 topics" in delete.get_attribute("title")
        # A link to it that is left leads somewhere.
        page.goto(f"{guarded.server.url}/ui/topics?tenant=green")
        page.get_by_text("There is no tenant “green”").wait_for()
        assert violations(page) == []
        page.get_by_label("Tenant", exact=True).select_option("acme")
        page.get_by_role("link", name="orders.2").wait_for()


def test_where_it_is_not_known_who_asks_the_page_says_so_and_stays_until_it_is(browser, guarded):
    with page_of(browser, guarded, "topics?tenant=nope") as page:
        # To a tenant that is not there a key signs in as well.
        sign_in(page, str(guarded.operator.key))
        page.get_by_role("button", name="Show all tenants").click()
        page.get_by_role("heading", name="Topics").wait_for()
        page.route("**/api/whoami", lambda route: route.fulfill(status=409))
        page.reload()
        page.get_by_role("button", name="Sign in with another key").click()
        page.get_by_label("API key").fill("half a k")
        for _ in range(3):
            with page.expect_response("**/api/whoami"):
                page.get_by_role("button", name="Try again").click()
        assert page.get_by_label("API key").input_value() == "half a k"
        assert violations(page) == []
        page.unroute_all()
        page.get_by_role("button", name="Try again").click()
        page.get_by_role("heading", name="Topics").wait_for()


def test_the_key_of_a_tenant_sees_its_own_and_nothing_else(browser, guarded):
    with operating(browser, guarded, "tenants", guarded.create_key("acme")["key"]) as page:
        page.get_by_text("3 of 4").wait_for()
        assert "no scope admin" in page.get_by_role("button", name="Create tenant").get_attribute(
            "title"
        )
        assert page.get_by_text("blue").count() == 0
    narrow = guarded.create_key("acme", "subscribe")["key"]
    with page_of(browser, guarded, "api-keys") as page:
        sign_in(page, narrow)
        page.get_by_text("no scope manage").locator("visible=true").first.wait_for()
        page.get_by_role("link", name="Audit log").first.click()
        page.get_by_text("no scope manage").locator("visible=true").first.wait_for()


def test_the_audit_log_says_who_did_what_and_its_filters_are_in_the_address(browser, guarded):
    made = guarded.create_key("acme", name="orders team")
    guarded.signed(made["key"]).create_topic("audited")
    assert guarded.signed(made["key"]).delete("/api/topics/audited").status == 204
    with operating(browser, guarded, "audit?tenant=acme") as page:
        page.get_by_role("link", name="deleted topic").first.click()
        page.get_by_label("Who").fill(f"key:{made['id']}")
        page.get_by_role("table").get_by_text("audited").wait_for()
        page.wait_for_url(
            re.compile("action=topic.delete.*actor=key|actor=key.*action=topic.delete")
        )
        page.reload()
        page.get_by_role("table").get_by_text("audited").wait_for()
        page.get_by_role("button", name=re.compile("Details of topic.delete")).click()
        page.get_by_text("127.0.0.1").last.wait_for()
        page.keyboard.press("Escape")
        page.get_by_label("What").fill("topic.nothing")
        page.get_by_text("Nothing like this was done").wait_for()
        # As the list shows them.
        page.get_by_label("What").fill("deleted topic")
        page.get_by_label("Who").fill("orders team")
        page.get_by_role("table").get_by_role("link", name="orders team").first.wait_for()
        # What is typed elsewhere is for the tenant that is looked at.
        page.get_by_role("button", name="Connect", exact=True).click()
        page.get_by_role("dialog").get_by_text("X-Conduit-Tenant: acme").first.wait_for()


def test_no_view_breaks_a_rule_for_people_who_see_or_move_otherwise(browser, guarded):
    made = guarded.create_key("default")
    with page_of(browser, guarded, "api-keys") as page:
        page.get_by_role("heading", name="Sign in").wait_for()
        assert violations(page) == []
        sign_in(page, guarded.operator.key)
        page.get_by_role("table").wait_for()
        look_over(page, guarded.server.url, VIEWS)
        for view, *buttons in (*DIALOGS, (f"api-keys?key={made['id']}", "Rotate…", "Revoke…")):
            for button in buttons:
                page.goto(f"{guarded.server.url}/ui/{view}")
                page.get_by_role("button", name=button).first.click()
                page.get_by_role("dialog").wait_for()
                settled(page)
                assert violations(page) == [], (view, button)
        page.goto(f"{guarded.server.url}/ui/api-keys?key={made['id']}")
        page.get_by_role("button", name="Rotate…").click()
        page.get_by_role("button", name="Rotate key a key").click()
        page.locator("[data-secret]").wait_for()
        assert violations(page) == []
