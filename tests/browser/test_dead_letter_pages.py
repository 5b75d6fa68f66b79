"""Dead letters in the dashboard: found, looked at, redriven, discarded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.axe import look_over, violations
from tests.browser.dashboard import AWAY, aimed_at, focused, opened, watched
from tests.browser.seeds import HUGE, REASON, rejected
from tests.support.http import Api
from tests.support.server import RunningServer, running_server
from tests.support.wait import until
from tests.support.ws import WsClient

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page
# The list of them: how many run, if some do.
JOBS = re.compile(r"^(?:Jobs|\d+ jobs? running)$")

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        yield server


def actions(api: Api) -> list[str]:
    """What the audit log says was done, the newest first."""
    return [entry["action"] for entry in api.get("/api/audit").json["entries"]]


def test_a_failing_subscriber_is_found_looked_at_mended_and_its_messages_delivered_again(browser):
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        api = Api(server.url)
        rejected(server, "billing", "orders.created", 3)
        rejected(server, "email", "orders.created", 1)
        with opened(browser, server) as page:
            page.get_by_role("link", name="4 dead letters").click()
            page.get_by_role("heading", name="Dead letters").wait_for()
            page.get_by_label("Only of this subscription").fill("billing")
            page.get_by_text("of subscription billing").wait_for()
            assert page.get_by_role("region", name=JOBS).count() == 0
            page.get_by_text("3 dead letters", exact=True).wait_for()
            page.get_by_role("link", name=REASON).first.click()
            page.get_by_text(f"reason: {REASON}").wait_for()
            page.get_by_role("table", name="Dead letters").get_by_role("link").first.click()
            detail = page.get_by_role("region", name=re.compile("^orders.created #"))
            detail.get_by_text(str(HUGE)).first.wait_for()
            # A reload in the middle keeps the place.
            page.reload()
            detail.get_by_text(str(HUGE)).first.wait_for()
            page.get_by_text(f"reason: {REASON}").wait_for()
            with WsClient(server.ws_url) as mended:
                mended.subscribe("orders.created", subscription="billing")
                page.get_by_role("button", name="Redrive all that match…").click()
                page.get_by_role("dialog").get_by_label("So many in a second").fill("100")
                page.get_by_role("button", name="Redrive 3 dead letters").click()
                job = page.get_by_role("region", name="Redrive job")
                job.get_by_text("Redriven: 3 dead letters.").wait_for()
                # And the one that died for the other subscription alone.
                for message in mended.messages(4):
                    mended.ack(message)
            until(lambda: api.subscription("billing")["dead_count"] == 0)
            page.get_by_label("Whether they were redriven").select_option("Redriven")
            page.get_by_text("3 dead letters", exact=True).wait_for()
            rows = page.get_by_role("table", name="Dead letters")
            assert rows.get_by_text("redriven", exact=True).count() == 3
            assert "show=redriven" in page.url
            assert "job=" in page.url
            # Its message tells of both.
            rows.get_by_role("link").first.click()
            detail.get_by_role("link", name=re.compile("^[0-9a-f]{8}-")).click()
            message = page.get_by_role("region", name="The message")
            message.get_by_text(re.compile("^Redriven ")).wait_for()
            assert message.get_by_text(re.compile("^Dead-lettered ")).count() == 1
            message.get_by_text(re.compile("^acked since")).wait_for()
        assert "dead_letter.redrive" in actions(api)
        assert api.subscription("email")["dead_count"] == 1


def the_focus_stays_at_its_letter(page: Page, server: RunningServer, box: Locator) -> str:
    """While one more dies, and when that one is closed; the id of its message."""
    name = box.get_attribute("aria-label") or ""
    box.focus()
    with WsClient(server.ws_url) as failing:
        failing.subscribe("chosen", subscription="chosen")
        later = Api(server.url).publish("chosen", "later")["message_id"]
        failing.messages(1)
        failing.request("reject", message_id=later, reason="later")
    rows = page.get_by_role("table", name="Dead letters")
    page.get_by_text("1 new").wait_for()
    focused(page.get_by_role("checkbox", name=name, exact=True))
    page.get_by_role("button", name="Bring up to date").click()
    rows.get_by_role("link", name="later").click()
    page.get_by_role("link", name="Close").press("Enter")
    focused(rows.get_by_role("link", name="later"))
    return later


def test_those_that_were_chosen_are_discarded_and_no_others(browser, server):
    api = Api(server.url)
    ids = rejected(server, "chosen", "chosen", 4)
    before_count = actions(api).count("dead_letter.discard")
    with opened(browser, server, "dead-letters?subscription=chosen") as page:
        boxes = page.get_by_role("checkbox", name=re.compile("^Choose chosen number"))
        boxes.first.wait_for()
        boxes.nth(0).check()
        # What is chosen goes with the filter, also by a link.
        page.get_by_role("region", name="By topic and reason").get_by_role("link").click()
        page.get_by_text("of topic chosen").wait_for()
        boxes.first.wait_for()
        assert page.get_by_text("1 chosen").count() == 0
        page.go_back()
        boxes.first.wait_for()
        boxes.nth(0).check()
        boxes.nth(2).check()
        page.get_by_text("2 chosen").wait_for()
        page.get_by_role("button", name="Discard 2…").click()
        page.get_by_role("button", name="Discard 2 dead letters").click()
        job = page.get_by_role("region", name="Discard job")
        job.get_by_text("Discarded: 2 dead letters.").wait_for()
        page.get_by_text("2 dead letters", exact=True).wait_for()
        left = [letter["id"] for letter in api.dead_letters(subscription="chosen")]
        assert left == [ids[1], ids[3]]
        # The rest of the filter, after a count: not what dies after it.
        page.get_by_role("button", name="Discard all that match…").click()
        page.get_by_role("button", name="Discard 2 dead letters").wait_for()
        with WsClient(server.ws_url) as failing:
            failing.subscribe("chosen", subscription="chosen")
            late = api.publish("chosen", "late")["message_id"]
            failing.messages(1)
            failing.request("reject", message_id=late, reason="late")
        until(lambda: len(api.dead_letters(subscription="chosen")) == 3)
        page.get_by_role("button", name="Discard 2 dead letters").click()
        job.get_by_text("Discarded: 2 dead letters.").wait_for()
        page.get_by_text("1 dead letter", exact=True).wait_for()
        later = the_focus_stays_at_its_letter(page, server, boxes.first)
    left = [letter["message_id"] for letter in api.dead_letters(subscription="chosen")]
    assert left == [later, late]
    assert actions(api).count("dead_letter.discard") == before_count + 2


def test_the_letter_under_the_pointer_is_chosen_also_when_others_come_and_go(browser, server):
    api = Api(server.url)
    ids = rejected(server, "aimed", "aimed", 3)
    with opened(browser, server, "dead-letters?subscription=aimed") as page:
        box = page.get_by_role("checkbox", name="Choose aimed number 2")
        place = aimed_at(box)
        rejected(server, "aimed", "aimed", 1)
        page.get_by_text("1 new").wait_for()
        assert api.delete(f"/api/dlq/{ids[0]}").status < 300
        page.get_by_text("1 new, 1 gone").wait_for()
        page.mouse.click(*place)
        page.get_by_text("1 chosen").wait_for()
        assert box.is_checked()
        page.get_by_text("2 dead letters", exact=True).wait_for()
        page.get_by_role("button", name="Bring up to date").click()
        page.get_by_role("checkbox", name="Choose aimed number 4").wait_for()
        page.get_by_text("3 dead letters", exact=True).wait_for()


def test_the_job_under_the_pointer_is_cancelled_also_when_others_start_and_end(browser, server):
    api = Api(server.url)
    rejected(server, "busy", "busy", 9)

    def started(act: str) -> str:
        body = {"subscription": "busy", "rate_per_s": 0.02, "max_count": 3}
        return api.post(f"/api/dlq/{act}", body).json["id"]

    def state(job: str) -> str:
        return api.get(f"/api/dlq/jobs/{job}").json["state"]

    first, second = started("redrive"), started("redrive")
    with opened(browser, server, "dead-letters") as page:
        jobs = page.get_by_role("region", name=JOBS)
        jobs.get_by_role("heading", name="2 jobs running").wait_for()
        cancel = jobs.get_by_role("button", name=re.compile("^Cancel the job that redrives"))
        place = aimed_at(cancel.nth(1))
        third = started("discard")
        jobs.get_by_role("heading", name="3 jobs running").wait_for()
        assert api.delete(f"/api/dlq/jobs/{first}").status < 300
        jobs.get_by_role("heading", name="2 jobs running").wait_for()
        page.mouse.click(*place)
        until(lambda: state(second) == "cancelled")
        assert state(third) == "running"
        assert api.delete(f"/api/dlq/jobs/{third}").status < 300
        jobs.get_by_role("button", name=re.compile("^Cancel")).first.wait_for(state="detached")


def test_a_job_goes_on_when_its_page_is_closed_and_is_found_by_its_address(browser, server):
    api = Api(server.url)
    rejected(server, "left", "left", 12)
    with opened(browser, server, "dead-letters?subscription=left") as page:
        page.get_by_role("checkbox", name=re.compile("^Choose all")).check()
        page.get_by_role("button", name="Discard 12…").click()
        page.get_by_label("So many in a second").fill("4")
        page.get_by_role("button", name="Discard 12 dead letters").click()
        page.get_by_role("region", name="Discard job").get_by_role("progressbar").wait_for()
        address = page.url
    until(lambda: api.dead_letters(subscription="left") == [])
    with opened(browser, server) as page:
        page.goto(address)
        job = page.get_by_role("region", name="Discard job")
        job.get_by_text("Discarded: 12 dead letters.").wait_for()


def test_a_job_goes_at_its_rate_and_can_be_cancelled(browser, server):
    api = Api(server.url)
    rejected(server, "slow", "slow", 30)
    with opened(browser, server, "dead-letters?subscription=slow") as page:
        page.get_by_role("button", name="Redrive all that match…").click()
        page.get_by_label("So many in a second").fill("1")
        page.get_by_role("button", name="Redrive 30 dead letters").click()
        job = page.get_by_role("region", name="Redrive job")
        job.get_by_role("progressbar").wait_for()
        job.get_by_role("button", name="Cancel the job").click()
        job.get_by_text("cancelled").wait_for()
        page.reload()
        job.get_by_text("cancelled").wait_for()
    assert api.subscription("slow")["dead_count"] > 20
    assert "job.cancel" in actions(api)


def test_a_job_that_one_starts_and_leaves_is_seen_and_cancelled_by_another(browser, server):
    api = Api(server.url)
    rejected(server, "shared", "shared", 30)
    with opened(browser, server, "dead-letters?subscription=shared") as page:
        page.get_by_role("button", name="Redrive all that match…").click()
        page.get_by_label("So many in a second").fill("0.1")
        page.get_by_role("button", name="Redrive 30 dead letters").click()
        page.get_by_role("region", name="Redrive job").get_by_role("progressbar").wait_for()
        assert page.get_by_role("region", name="1 job running").count() == 0
        page.get_by_role("button", name="Hide").click()
        own = page.get_by_role("region", name=JOBS)
        own.get_by_role("progressbar").wait_for()
        with opened(browser, server, "dead-letters") as other:
            jobs = other.get_by_role("region", name=JOBS)
            jobs.get_by_role("heading", name="1 job running").wait_for()
            jobs.get_by_text("dead letters of subscription shared").first.wait_for()
            jobs.get_by_text("Redriving at 0.1 in a second, about").wait_for()
            jobs.get_by_text(" of 30").first.wait_for()
            assert violations(other) == []
            jobs.get_by_role("button", name=re.compile("^Cancel the job")).click()
            jobs.get_by_role("progressbar").wait_for(state="detached")
            jobs.get_by_text("ended in the last hour").click()
            assert violations(other) == []
            # The newest is the first of them.
            jobs.get_by_role("button", name=re.compile("^Show the job")).first.click()
            job = other.get_by_role("region", name="Redrive job")
            job.get_by_text("cancelled").wait_for()
            job.get_by_text("For dead letters of subscription shared.").wait_for()
        # Whoever has started it is told without asking.
        own.get_by_role("progressbar").wait_for(state="detached")
    assert api.subscription("shared")["dead_count"] > 20
    assert actions(api)[0] == "job.cancel"


def test_what_is_gone_says_so_and_offers_no_act(browser):
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        api = Api(server.url)
        ids = rejected(server, "lost", "lost", 9)
        view = f"dead-letters?subscription=lost&letter={ids[0]}"
        with watched(browser, server, view) as (page, watch):
            watch.meant.append(AWAY)
            detail = page.get_by_role("region", name=re.compile("^lost #"))
            detail.get_by_role("button", name="Discard…").wait_for()
            assert api.delete(f"/api/dlq/{ids[0]}").status == 204
            detail.get_by_text("This dead letter is gone").wait_for()
            assert detail.get_by_role("button", name="Discard…").count() == 0
            assert detail.get_by_role("button", name="Redrive…").count() == 0
            page.get_by_role("button", name="Discard all that match…").click()
            page.get_by_label("So many in a second").fill("0x10")
            page.get_by_text("A number from 0.01 to 10000.").wait_for()
            page.get_by_label("So many in a second").fill("0.01")
            page.get_by_role("button", name="Discard 8 dead letters").click()
            job = page.get_by_role("region", name="Discard job")
            job.get_by_role("progressbar").wait_for()
            server.kill()
            server.start()
            job.get_by_text("It has ended with its server.").wait_for()
            assert job.get_by_role("button").all_inner_texts() == ["Close"]


def test_the_keyboard_alone_goes_to_a_letter_redrives_it_and_comes_back(browser, server):
    api = Api(server.url)
    ids = rejected(server, "keys", "keys", 2)
    with opened(browser, server, "dead-letters?subscription=keys") as page:
        page.get_by_text("2 dead letters", exact=True).wait_for()
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**letter={ids[1]}**")
        page.get_by_role("button", name="Redrive…").wait_for()
        assert page.evaluate("document.activeElement.textContent").startswith("keys #")
        page.keyboard.press("r")
        wanted = page.get_by_role("button", name="Redrive 1 dead letter", exact=True)
        wanted.wait_for()
        for _ in range(5):
            if wanted.evaluate("button => button === document.activeElement"):
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_text("Redriven: 1 dead letter.").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
        # What is below the dialog is left by another Escape.
        assert "letter=" in page.url
        page.get_by_text("1 dead letters", exact=True).or_(
            page.get_by_text("1 dead letter", exact=True)
        ).first.wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Redrive…").wait_for(state="detached")
        assert "letter=" not in page.url
        # He goes on at the row that he came from, or at the first if it has left the list.
        page.keyboard.press("j")
        focused(page.get_by_role("table", name="Dead letters").get_by_role("link").first)
    assert api.get(f"/api/dlq/{ids[1]}").json["redriven_at"] is not None
    assert api.get(f"/api/dlq/{ids[0]}").json["redriven_at"] is None


def test_the_pages_of_dead_letters_are_for_everybody(browser, server):
    letter = rejected(server, "seen", "seen", 2)[0]
    with opened(browser, server, reduced_motion="reduce") as page:
        views = ("?show=all", f"?subscription=seen&letter={letter}", "?topic=none")
        look_over(page, server.url, [f"dead-letters{view}" for view in views])
        page.goto(f"{server.url}/ui/dead-letters?subscription=seen&letter={letter}")
        for act in ("Redrive", "Discard"):
            page.get_by_role("button", name=f"{act} all that match…").click()
            page.get_by_role("button", name=re.compile(rf"^{act} \d+ dead")).wait_for()
            assert violations(page) == [], act
            page.keyboard.press("Escape")
            page.get_by_role("button", name=f"{act}…", exact=True).click()
            page.get_by_role("button", name=f"{act} 1 dead letter").wait_for()
            assert violations(page) == [], act
            page.keyboard.press("Escape")
            page.get_by_role("dialog").wait_for(state="detached")
        # Keys of dialogs are theirs: what is below them stays.
        assert f"letter={letter}" in page.url


def test_a_topics_dead_letters_lead_to_where_they_are_redriven_those_of_no_name_too(
    browser, server
):
    api = Api(server.url)
    with WsClient(server.ws_url) as client:
        client.subscribe("unnamed")
        api.post("/api/publish", {"topic": "unnamed", "payload": 1})
        (message,) = client.messages(1)
        client.send({"type": "reject", "message_id": message["message_id"], "reason": "no"})
        until(lambda: api.get("/api/dlq?topic=unnamed").json["dead_letters"])
    with opened(browser, server, "topics/unnamed?tab=dead") as page:
        page.get_by_text("not durable: ").wait_for()
        page.get_by_role("link", name="Message 1", exact=True).click()
        page.get_by_text("only their dead letters are kept").wait_for()
        assert violations(page) == []
        page.get_by_role("link", name="dead letters of this topic").click()
        page.wait_for_url(re.compile(r"/ui/dead-letters\?topic=unnamed$"))
        page.get_by_role("button", name="Redrive all that match…").click()
        page.get_by_role("dialog").get_by_role("button", name="Redrive 1", exact=False).click()
        until(lambda: api.get("/api/dlq?topic=unnamed").json["dead_letters"][0]["redriven_at"])
        # All were: the link leads to them, and not to an empty list.
        page.goto(f"{server.url}/ui/topics/unnamed?tab=dead")
        page.get_by_role("link", name="dead letters of this topic").click()
        page.wait_for_url(re.compile("show=all"))
        page.get_by_role("table", name="Dead letters").wait_for()


def test_on_a_narrow_page_what_stands_in_an_empty_field_is_there_in_full(browser, server):
    with opened(browser, server, "dead-letters", viewport={"width": 390, "height": 844}) as page:
        page.get_by_label("Only of this subscription").wait_for()
        assert cut(page) == []
        page.goto(f"{server.url}/ui/messages")
        page.get_by_label("Find messages").wait_for()
        assert cut(page) == []


def cut(page: Page) -> list[str]:
    """What stands in empty fields and is wider than they are."""
    found: list[str] = page.evaluate("""() => {
      const pen = document.createElement("canvas").getContext("2d");
      return [...document.querySelectorAll("main input[placeholder]")].filter(input => {
        const style = getComputedStyle(input);
        pen.font = style.font;
        const room = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        return pen.measureText(input.placeholder).width > room;
      }).map(input => input.placeholder);
    }""")
    return found
