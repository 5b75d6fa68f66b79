"""What is deleted and made anew while somebody decides about it: nothing is done to the next of its name."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.browser.axe import violations
from tests.browser.dashboard import signed_in
from tests.support.access import Guarded, guarded_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        yield guarded


def test_a_tenant_is_neither_deleted_nor_bounded_in_place_of_the_one_that_was_meant(
    browser, guarded
):
    guarded.create_tenant("again")
    operator = str(guarded.operator.key)
    with signed_in(browser, guarded.server, "tenants?name=again", operator) as page:
        dialog = page.get_by_role("dialog")
        another = dialog.get_by_role("alert").filter(has_text="Another tenant has this name by now")
        dialog.get_by_role("button", name="Delete…").click()
        dialog.get_by_label("Type again to delete it").fill("again")
        assert guarded.operator.delete("/api/tenants/again").status == 204
        guarded.create_tenant("again")
        another.wait_for()
        dialog.get_by_role("button", name="Delete tenant and 1 key").click(force=True)
        assert violations(page) == []
        dialog.get_by_role("button", name="Keep it").click()
        # Before it is seen that it is another one, the act sees it.
        page.get_by_role("button", name="Change limits…").click()
        dialog.get_by_label("Topics").fill("1")
        assert guarded.operator.delete("/api/tenants/again").status == 204
        again = guarded.create_tenant("again")
        dialog.get_by_role("button", name="Change the limit").click()
        dialog.get_by_text("The limits were not changed").wait_for()
        another.wait_for()
        assert again.get("/api/tenant").json["limits"].get("topics") is None


def test_a_subscription_is_neither_moved_nor_paused_in_place_of_the_one_that_was_meant(
    browser, guarded
):
    api = guarded.operator
    api.create_topic("moves")
    api.publish_many("moves", [1, 2])

    def anew() -> None:
        api.delete("/api/subscriptions/mover")
        body = {"name": "mover", "topic": "moves", "start": "earliest"}
        assert api.post("/api/subscriptions", body).status == 201

    anew()
    with signed_in(browser, guarded.server, "subscriptions/mover", str(api.key)) as page:
        page.get_by_role("button", name="Seek…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("From now on").check()
        dialog.get_by_role("button", name="Preview").click()
        seek = dialog.get_by_role("button", name="Seek, and skip 2")
        seek.wait_for()
        anew()
        dialog.get_by_role("alert").filter(has_text="Another subscription has this name").wait_for()
        seek.click(force=True)
        assert violations(page) == []
        dialog.get_by_role("button", name="Leave it").click()
        page.get_by_label("How often it is refreshed").select_option("Paused")
        anew()
        page.get_by_role("button", name="Pause", exact=True).click()
        page.get_by_text("another subscription is called “mover” by now").wait_for()
        now = api.subscription("mover")
        assert (now["paused"], now["lag"]) == (False, 2)
        # What is shown is that one now.
        page.get_by_role("button", name="Pause", exact=True).click()
        page.get_by_role("button", name=re.compile("^Resum")).wait_for()
        assert api.subscription("mover")["paused"] is True


def test_settings_are_not_saved_on_another_one_than_they_were_typed_for(browser, guarded):
    api = guarded.operator
    for view, path, body, field in (
        ("topics/resets", "/api/topics", {"name": "resets"}, "At most how many messages"),
        (
            "subscriptions/resets",
            "/api/subscriptions",
            {"name": "resets", "topic": "resets"},
            "Attempts",
        ),
    ):
        assert api.post(path, body).status == 201
        with signed_in(browser, guarded.server, f"{view}?tab=settings", str(api.key)) as page:
            page.get_by_label(field).fill("9")
            assert api.delete(f"{path}/resets").status == 204
            assert api.post(path, body).status == 201
            another = page.get_by_role("alert").filter(has_text="has this name by now")
            another.wait_for()
            before = api.get(f"{path}/resets").json
            page.get_by_role("button", name="Save settings").click(force=True)
            assert violations(page) == []
            page.get_by_role("button", name="Undo").click()
            another.wait_for(state="detached")
            assert page.get_by_label(field).input_value() != "9"
            assert api.get(f"{path}/resets").json == before
