"""Verbs on their way to another node."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from conduit.broker.attach.asking import TEXT_MAX_BYTES, WAITING_MAX_BYTES, Asking
from conduit.errors import Unavailable
from conduit.protocol.frames import Ack, Acked, ErrorFrame


class Owner:
    """Takes so many, and keeps them."""

    def __init__(self) -> None:
        self.room = 0
        self.heard: list[dict[str, str]] = []

    def say(self, text: bytes) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.heard.append(json.loads(text))
        return True


@given(
    st.lists(
        st.one_of(
            st.just("ask"), st.just("tell"), st.integers(1, 3), st.just("answer"), st.just("lose")
        ),
        max_size=30,
    )
)
def test_all_is_said_in_its_order_and_whoever_waits_is_told_once(events):
    asking, owner, told, answered = Asking(), Owner(), {}, 0
    waiting = []
    for number, event in enumerate(events):
        match event:
            case "ask":
                asking.add(Ack(message_id=f"m{number}"), None)
                waiting.append(number)
            case "tell":
                asking.add(
                    Ack(message_id=f"m{number}"),
                    lambda e, n=number: told.setdefault(n, []).append(e),
                )
                waiting.append(number)
            case "answer":
                refs = [each["ref"] for each in owner.heard if "ref" in each][answered:]
                if refs:
                    answered += 1
                    asking.answered(Acked(refs[0]))
                    asking.answered(ErrorFrame("internal", "again", refs[0]))
            case "lose":
                asking.fail_said(Unavailable("lost"))
                answered = len([each for each in owner.heard if "ref" in each])
            case room:
                owner.room += room
                asking.say(owner.say)
    owner.room = len(events)
    asking.say(owner.say)
    assert [each["message_id"] for each in owner.heard] == [f"m{number}" for number in waiting]
    asking.fail_said(Unavailable("lost"))
    asked = [number for number, event in enumerate(events) if event == "tell"]
    assert sorted(told) == asked
    assert all(len(each) == 1 for each in told.values())


def test_the_client_is_not_read_while_very_much_waits():
    asking, owner = Asking(), Owner()
    while not asking.is_busy:
        asking.add(Ack(message_ids=["x" * 36] * 100), None)
    assert len(asking) <= WAITING_MAX_BYTES // 3_600 + 1
    owner.room = 1
    asking.say(owner.say)
    assert asking.was_busy
    assert not asking.is_busy


def test_what_no_delivery_is_called_is_not_asked():
    asking, told = Asking(), []
    asking.add(Ack(message_id="x" * TEXT_MAX_BYTES), told.append)
    assert (len(asking), told[0].code) == (0, "unknown_delivery")


def test_what_was_not_said_can_be_said_elsewhere():
    asking = Asking()
    asking.add(Ack(message_id="m"), None)
    ((text, told),) = asking.take()
    assert (json.loads(text)["message_id"], told, len(asking), asking.is_busy) == (
        "m",
        None,
        0,
        False,
    )
