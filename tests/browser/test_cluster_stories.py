"""The stories of the dashboard where three nodes share the work and keys are asked for: what one node does is
looked at through another, and nodes leave and are killed under pages that are open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.axe import look_over, violations
from tests.browser.dashboard import focused, settled, sign_in, signed_in, tab_to, walk_to
from tests.browser.seeds import REASON, given_up
from tests.support.nodes import NAMES, GuardedNodes, guarded_nodes, owned_by
from tests.support.wait import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def nodes(cluster: Any) -> Iterator[GuardedNodes]:
    with guarded_nodes(cluster.create_database("cluster_stories"), *NAMES) as nodes:
        yield nodes


def test_a_message_is_published_and_what_is_not_acked_comes_again_after_a_reload(browser, nodes):
    # It runs at another node than the one that has the page.
    clerk = owned_by(NAMES[2], of=NAMES, prefix="clerk-")
    with signed_in(browser, nodes.servers[0], f"playground?name={clerk}", nodes.key) as page:
        page.get_by_text("Connected").wait_for()
        came = page.get_by_role("region", name="Messages that came").get_by_role("listitem")
        subscribe = page.get_by_role("button", name="Subscribe", exact=True)
        subscribe.click()
        page.get_by_text("Subscribed to").wait_for()
        page.get_by_role("button", name="Publish", exact=True).click()
        page.get_by_text("Published 1, the last one is demo 1").wait_for()
        came.first.wait_for()
        page.reload()
        page.get_by_text("Connected").wait_for()
        assert page.get_by_label("Name, if it is durable").input_value() == clerk
        subscribe.click()
        page.get_by_role("button", name="Ack demo 1", exact=True).click()
        came.first.get_by_text("acked").wait_for()
        until(lambda: nodes.apis[1].subscription(clerk)["lag"] == 0)


def test_a_topic_is_created_changed_and_deleted_and_all_nodes_know_it(browser, nodes):
    other = nodes.apis[2]
    with signed_in(browser, nodes.servers[1], "topics", nodes.key) as page:
        page.get_by_role("button", name="Create topic").first.click()
        dialog = page.get_by_role("dialog", name="Create a topic")
        dialog.get_by_label("Name").fill("made.here")
        dialog.get_by_role("button", name="Create topic").click()
        page.get_by_role("heading", name="made.here").wait_for()
        assert other.topic("made.here")["message_count"] == 0
        page.get_by_role("link", name="Settings").click()
        page.reload()
        page.get_by_label("At most how old").fill("2 h")
        page.get_by_role("button", name="Save settings").click()
        page.get_by_text("Saved.").wait_for()
        assert other.topic("made.here")["retention"]["max_age_s"] == 7200
        other.publish("made.here", "of another node")
        page.get_by_role("button", name="Delete…").click()
        remove = page.get_by_role("button", name="Delete topic and 1 message")
        remove.wait_for()
        page.get_by_label("Type made.here to delete it").fill("made.here")
        remove.click()
        page.get_by_role("heading", name="Topics").wait_for()
    assert other.get("/api/topics/made.here").status == 404


def test_a_failing_subscriber_at_another_node_is_found_mended_and_gets_its_messages(browser, nodes):
    api = nodes.apis[1]
    billing = owned_by(NAMES[2], of=NAMES, prefix="billing-")
    with api.socket() as failing:
        given_up(api, failing, billing, "orders.created", 3)
    with signed_in(browser, nodes.servers[0], "", nodes.key) as page:
        page.get_by_role("link", name="3 dead letters").click()
        page.get_by_role("heading", name="Dead letters", level=1).wait_for()
        page.get_by_role("table", name="Dead letters").get_by_role("link").first.click()
        detail = page.get_by_role("region", name=re.compile("^orders.created #"))
        detail.get_by_text(REASON).first.wait_for()
        page.reload()
        detail.get_by_text(REASON).first.wait_for()
        # Why it fails is seen at the subscription, and where it runs.
        detail.get_by_role("link", name=billing).first.click()
        page.get_by_role("heading", name=billing).wait_for()
        page.get_by_text(NAMES[2]).first.wait_for()
        page.go_back()
        detail.get_by_text(REASON).first.wait_for()
        with api.socket() as mended:
            mended.subscribe("orders.created", subscription=billing)
            page.get_by_role("button", name="Redrive all that match…").click()
            page.get_by_role("dialog").get_by_label("So many in a second").fill("100")
            page.get_by_role("button", name="Redrive 3 dead letters").click()
            job = page.get_by_role("region", name="Redrive job")
            job.get_by_text("Redriven: 3 dead letters.").wait_for()
            for message in mended.messages(3):
                mended.ack(message)
        page.reload()
        job.get_by_text("Redriven: 3 dead letters.").wait_for()
    until(lambda: api.subscription(billing)["dead_count"] == 0)


def test_a_key_is_revoked_at_one_node_and_the_page_of_another_asks_who_is_there(browser, nodes):
    with signed_in(browser, nodes.servers[0], "api-keys", nodes.key) as operator:
        operator.get_by_role("button", name="Create key").click()
        operator.get_by_role("textbox", name="Name", exact=True).fill("support desk")
        operator.get_by_role("checkbox", name=re.compile("^subscribe")).check()
        operator.get_by_role("dialog").get_by_role("button", name="Create key").click()
        key = operator.locator("[data-secret]").inner_text()
        operator.get_by_label("I have put it where it is needed").check()
        operator.get_by_role("button", name="Done").click()
        operator.get_by_role("link", name="support desk").click()
        # Both are at the same view, whatever a reload does.
        operator.reload()
        operator.get_by_role("button", name="Revoke…").wait_for()
        # It may be some moments until another node knows a new key.
        until(lambda: nodes.first.signed(key).get("/api/topics").status == 200)
        view = "messages?topic=demo&read=live"
        with signed_in(browser, nodes.servers[1], view, key) as page:
            page.get_by_text("Connected").wait_for()
            operator.get_by_role("button", name="Revoke…").click()
            operator.get_by_label("Type support desk to revoke it").fill("support desk")
            operator.get_by_role("button", name="Revoke key support desk").click()
            operator.get_by_text("revoked", exact=True).first.wait_for()
            page.get_by_role("heading", name="Sign in again").wait_for()
            assert violations(page) == []
            sign_in(page, nodes.key)
            page.get_by_role("dialog").wait_for(state="detached")
            page.get_by_text("Connected").wait_for()
            assert page.url.endswith(view)


def test_a_node_is_drained_and_serves_again_also_the_one_that_answers_the_page(browser, nodes):
    api = nodes.apis[0]
    with (
        signed_in(browser, nodes.servers[0], "nodes", nodes.key) as page,
        nodes.apis[1].socket() as client,
    ):
        api.create_topic("drained")
        owned = owned_by(NAMES[1], of=NAMES, prefix="drained-")
        client.subscribe("drained", subscription=owned)
        page.get_by_role("img", name=re.compile("The ring: node-0 .*node-2")).wait_for()
        look_over(page, nodes.servers[0].url, ["nodes"])
        drain(page, NAMES[1])
        assert client.closed()[0] == 1012
        route = api.get("/api/route", subscription=owned).json["subscription"]
        assert route["node"] in (NAMES[0], NAMES[2])
        # It is as it was after a reload, and is undone.
        page.reload()
        undrain(page, NAMES[1])
        # The page is served on by the node that has left, and follows what is published elsewhere.
        live = page.context.new_page()
        live.goto(f"{nodes.servers[0].url}/ui/messages?topic=drained&read=live")
        live.get_by_text("Connected").wait_for()
        drain(page, NAMES[0])
        until(lambda: api.get("/health/ready").status == 503)
        live.get_by_text("The connection is back").wait_for()
        nodes.apis[2].publish("drained", "while it was drained")
        live.get_by_text('"while it was drained"').wait_for()
        page.reload()
        undrain(page, NAMES[0])
    until(nodes.is_whole)
    done = [entry["action"] for entry in api.get("/api/audit").json["entries"]]
    assert {"node.drain", "node.undrain"} <= set(done)


def drain(page: Any, node: str) -> None:
    """By the keyboard alone."""
    card = page.get_by_role("article", name=node)
    row = card.get_by_role("button", name=re.compile("rain…$"))
    walk_to(page, row)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Drain {node}?")
    dialog.get_by_text("durable subscriptions go to the other nodes").wait_for()
    assert violations(page) == []
    tab_to(page, dialog.get_by_role("button", name=re.compile(f"^Drain {node}")))
    page.keyboard.press("Enter")
    dialog.get_by_text(f"Done: {node} is drained").wait_for(timeout=60_000)
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    focused(row)
    card.get_by_text("drained", exact=True).wait_for()
    others = ", ".join(f"{each} [^,]*" for each in NAMES if each != node)
    page.get_by_role("img", name=re.compile(f"The ring: {others}$")).wait_for()


def undrain(page: Any, node: str) -> None:
    card = page.get_by_role("article", name=node)
    card.get_by_role("button", name="Undrain…").click()
    page.get_by_role("button", name=f"Undrain {node}").click()
    page.get_by_text(f"Done: {node} serves again").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    card.get_by_text("up", exact=True).first.wait_for()


def test_a_page_outlives_the_node_behind_it_and_nobody_signs_in_again(browser, nodes):
    nodes.apis[1].create_topic("killed")
    view = "messages?topic=killed&read=live"
    with signed_in(browser, nodes.servers[1], view, nodes.key, may_be_away=True) as page:
        page.get_by_text("Connected").wait_for()
        nodes.apis[0].publish("killed", "before")
        page.get_by_text('"before"').wait_for()
        nodes.servers[1].kill()
        page.get_by_text(
            re.compile("Reconnecting: the (?:connection|server|live)")
        ).first.wait_for()
        nodes.apis[0].publish("killed", "while away")
        nodes.servers[1].start()
        page.get_by_text("The connection is back").wait_for(timeout=60_000)
        page.get_by_text('"while away"').wait_for()
        assert page.get_by_text('"before"').count() == 1
        page.reload()
        page.get_by_text("Connected").wait_for()
        settled(page)
        assert page.url.endswith(view)
        assert page.get_by_label("API key").count() == 0
        page.get_by_role("button", name=re.compile("Signed in as")).wait_for()
    until(nodes.is_whole)
