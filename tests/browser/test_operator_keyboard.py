"""Keys, tenants and the audit log by keyboard alone: from the list to one, an act, and back to the list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.dashboard import focused, go, signed_in, tab_to, walk_to
from tests.support.access import Guarded, guarded_server

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with guarded_server(DATABASE_URL="sqlite:///x.db") as guarded:
        guarded.create_tenant("acme")
        guarded.create_tenant("blue", topics=1).create_topic("only")
        yield guarded


def operating(browser: Any, guarded: Guarded, view: str) -> Any:
    """The view of the operator."""
    return signed_in(browser, guarded.server, view, str(guarded.operator.key))


def test_the_keyboard_alone_goes_to_a_key_revokes_it_and_comes_back(browser, guarded):
    acme = guarded.create_key("acme", name="to be revoked")
    with operating(browser, guarded, "topics?tenant=acme") as page:
        go(page, "k")
        row = page.get_by_role("link", name="to be revoked")
        walk_to(page, row)
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("button", name="Revoke…"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_label("Type to be revoked to revoke it"))
        page.keyboard.type("to be revoked")
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_text("revoked", exact=True).first.wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        assert f"key={acme['id']}" not in page.url
    assert guarded.signed(acme["key"]).get("/api/whoami").status == 401


def test_the_keyboard_alone_goes_to_a_tenant_and_to_what_was_done_and_comes_back(browser, guarded):
    with operating(browser, guarded, "") as page:
        go(page, "e")
        row = page.get_by_role("link", name="blue", exact=True)
        walk_to(page, row)
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("button", name="Change limits…"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("textbox", name="Topics"))
        page.keyboard.press("Control+A")
        page.keyboard.type("3")
        page.keyboard.press("Enter")
        page.get_by_text("1 of 3").last.wait_for()
        page.get_by_role("button", name="Change limits…").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        focused(row)
        go(page, "a")
        page.get_by_role("heading", name="Audit log").wait_for()
        page.get_by_role("table").wait_for()
        page.keyboard.press("/")
        page.keyboard.type(guarded.actor)
        page.wait_for_url("**actor=key**")
        page.keyboard.press("Escape")
        row = page.get_by_role("button", name=re.compile("Details of tenant.change")).first
        walk_to(page, row)
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_text("127.0.0.1").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        focused(row)
