"""The dashboard of an operator: all tenants together, and each alone, the own one too."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import signed_in
from tests.support.access import Guarded, Signed, guarded_server
from tests.support.http import accepted
from tests.support.wait import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


def troubled(tenant: Signed, letters: int) -> None:
    """A subscription that nobody is attached to, and so many dead letters."""
    accepted(tenant.post("/api/subscriptions", {"name": "bill", "topic": "orders"}), 201)
    with tenant.socket() as client:
        client.subscribe("orders")
        for number in range(letters):
            tenant.publish("orders", number)
            (message,) = client.messages(1)
            client.send({"type": "reject", "message_id": message["message_id"], "reason": "no"})
    until(lambda: len(tenant.get("/api/dlq").json["dead_letters"]) == letters)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        troubled(guarded.signed(guarded.create_key("default")["key"]), 1)
        troubled(guarded.create_tenant("acme"), 2)
        yield guarded


def test_an_operator_sees_what_all_tenants_need_and_goes_to_each_of_them(browser, guarded):
    with signed_in(browser, guarded.server, "", str(guarded.operator.key)) as page:
        page.get_by_text("Of the whole server, all tenants together.").wait_for()
        section = page.get_by_role("region", name="Needs attention")
        for named in ("2 dead letters of tenant acme", "One dead letter of tenant default"):
            section.get_by_role("link", name=named, exact=True).wait_for()
        for tenant in ("acme", "default"):
            section.get_by_role("link", name=f"bill of tenant {tenant}").wait_for()
        choice = page.get_by_label("Tenant", exact=True)
        assert choice.locator("option").all_inner_texts() == [
            "All tenants",
            "default (own)",
            "acme",
        ]
        assert choice.input_value() == ""
        section.get_by_role("link", name="2 dead letters of tenant acme", exact=True).click()
        page.wait_for_url(re.compile(r"/ui/dead-letters\?tenant=acme$"))
        page.get_by_role("heading", name="Dead letters", level=1).wait_for()
        # The own one alone: nothing of others is on its Overview.
        choice.select_option("default")
        page.get_by_role("link", name="Overview").first.click()
        page.wait_for_url(re.compile(r"/ui/\?tenant=default$"))
        section.get_by_role("link", name="One dead letter", exact=True).wait_for()
        section.get_by_role("link", name="Nobody is attached to bill", exact=True).wait_for()
        assert page.get_by_text("all tenants together").count() == 0
        assert section.get_by_text("acme").count() == 0


def test_a_page_of_one_tenant_says_that_it_is_of_the_own_one_where_none_is_chosen(browser, guarded):
    with signed_in(browser, guarded.server, "topics", str(guarded.operator.key)) as page:
        said = page.get_by_text("No tenant is chosen. This page is of one: your own, default.")
        said.wait_for()
        assert violations(page) == []
        # What is done there is done for it.
        page.get_by_role("button", name="Create topic").first.click()
        page.get_by_role("dialog").get_by_label("Name").fill("own")
        page.get_by_role("dialog").get_by_role("button", name="Create topic").click()
        page.get_by_role("dialog").wait_for(state="detached")
        assert accepted(guarded.acting("default").get("/api/topics/own"))["name"] == "own"
        for view in ("Audit log", "Overview", "Nodes", "Tenants"):
            page.get_by_role("link", name=view, exact=True).first.click()
            page.get_by_role("heading", name=view, level=1).wait_for()
            assert said.count() == 0
        page.get_by_role("link", name="Topics", exact=True).first.click()
        said.wait_for()
        page.get_by_label("Tenant", exact=True).select_option("default")
        page.wait_for_url(re.compile("tenant=default"))
        said.wait_for(state="detached")


def test_a_narrow_page_says_which_tenant_was_chosen(browser, guarded):
    """The choice of it is in the menu there, and what is shown could be one's own."""
    narrow = {"viewport": {"width": 390, "height": 844}}
    key = str(guarded.operator.key)
    view = "topics/orders?tenant=acme"
    with signed_in(browser, guarded.server, view, key, **narrow) as page:
        said = page.get_by_role("banner").get_by_text("All here is of tenant")
        said.wait_for()
        page.get_by_role("button", name="Delete…").wait_for()
        assert said.locator("..").inner_text().split() == [
            "All",
            "here",
            "is",
            "of",
            "tenant",
            "acme",
        ]
        assert violations(page) == []
        page.goto(f"{guarded.server.url}/ui/topics")
        page.get_by_text("No tenant is chosen.").wait_for()
        assert said.count() == 0
        page.goto(f"{guarded.server.url}/ui/topics?tenant=default")
        page.get_by_role("banner").get_by_text("(own)", exact=True).wait_for()
        page.set_viewport_size({"width": 1440, "height": 900})
        said.wait_for(state="hidden")
        page.get_by_label("Tenant", exact=True).wait_for()
