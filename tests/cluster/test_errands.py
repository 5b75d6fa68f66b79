"""What is asked of owners, as bytes: the largest of it."""

from __future__ import annotations

import pytest

from conduit.broker.administer.viewing import TOPICS_SHOWN_COUNT
from conduit.broker.administer.views import GAPS_SHOWN_COUNT, Attached, SubscriptionView
from conduit.cluster import errands
from conduit.cluster.at_owner import REDRIVEN_MAX_COUNT, VIEWS_MAX_COUNT
from conduit.cluster.errands import Errand
from conduit.cluster.inquiries import Question, decode_question, encode_question
from conduit.cluster.links.frames import BODY_MAX_BYTES, TEXT_MAX_CHARS
from conduit.core.message import DeadPlace, SubscriptionRecord
from conduit.errors import InvalidRequest, NotFound
from conduit.names import NAME_LENGTH_MAX
from conduit.protocol.frames import SEQ_MAX
from conduit.protocol.records import GapAnswer, Moved, TopicMove, TopicProgress
from conduit.server.rest.inputs import PAGE_MAX_COUNT
from tests.broker.kit import Bench

NAME, ID = "x" * NAME_LENGTH_MAX, "0" * 36
PLACE = TopicProgress(NAME, SEQ_MAX, SEQ_MAX, SEQ_MAX)


def fits(body: bytes) -> bool:
    return len(body) <= BODY_MAX_BYTES


def test_what_owners_answer_fits_into_a_frame_of_a_link():
    record = SubscriptionRecord(SEQ_MAX, NAME, NAME, NAME, SEQ_MAX, True, Bench.durable_settings())
    view = SubscriptionView(record, [PLACE] * TOPICS_SHOWN_COUNT, lag=SEQ_MAX)
    gap = GapAnswer(NAME, SEQ_MAX, SEQ_MAX, NAME, ID)
    move = TopicMove(NAME, *[SEQ_MAX] * 6, NAME, NAME)
    moved = Moved([move] * TOPICS_SHOWN_COUNT, True, SEQ_MAX, False, [gap] * GAPS_SHOWN_COUNT)
    # A page is asked for with one more, to know whether there is a next one.
    attached = [Attached(NAME, SEQ_MAX, SEQ_MAX, True)] * errands.ATTACHED_MAX_COUNT
    pages = [[view] * VIEWS_MAX_COUNT, [PLACE] * (PAGE_MAX_COUNT + 1), moved, attached]
    assert all(fits(errands.encode_done(errands.encode_answer(each))) for each in pages)
    error = NotFound("\N{PILE OF POO}" * TEXT_MAX_CHARS, field=NAME)
    refused = {f"{number:036}": error for number in range(REDRIVEN_MAX_COUNT)}
    assert fits(errands.encode_done(errands.encode_refused(refused)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": "\0zz"},
        {"tenant": ""},
        {"names": []},
        {"names": ["s", "a\0"]},
        {"names": ["x" * (NAME_LENGTH_MAX + 1)]},
        {"after": "\0"},
        {"places": [DeadPlace("\0", "s", "t", 1, 1)]},
        {"places": [DeadPlace(ID, "s\0", "t", 1, 1)]},
        {"places": [DeadPlace(ID, "s", "t\0", 1, 1)]},
    ],
    ids=repr,
)
def test_what_no_store_can_look_for_is_not_asked_of_it(wrong):
    good = {"incarnation": ID, "tenant": "acme", "names": ["s"]}
    assert errands.decode_errand(errands.encode_errand(Errand(**good))).names == ["s"]
    with pytest.raises(InvalidRequest):
        errands.decode_errand(errands.encode_errand(Errand(**good | wrong)))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93\xa1\xff\xa1a\x91\xa1s"])
def test_what_is_no_errand_is_refused(body):
    with pytest.raises(InvalidRequest):
        errands.decode_errand(body)


@pytest.mark.parametrize(
    "wrong", [{"tenant": "\0zz"}, {"tenant": ""}, {"names": ["a\0"]}], ids=repr
)
def test_neither_is_an_inquiry(wrong):
    good = {"incarnation": ID, "tenant": "acme", "names": ["t"]}
    assert decode_question(encode_question(Question(**good))).tenant == "acme"
    assert decode_question(encode_question(Question())).tenant is None
    for body in (encode_question(Question(**good | wrong)), b"\x81\xa6tenant\xa1\xff"):
        with pytest.raises(InvalidRequest):
            decode_question(body)


def test_what_owners_are_asked_fits_into_a_frame_of_a_link():
    place = DeadPlace(ID, NAME, NAME, SEQ_MAX, SEQ_MAX)
    asked = [
        Errand(ID, NAME, [NAME] * VIEWS_MAX_COUNT),
        Errand(ID, NAME, [NAME], places=[place] * REDRIVEN_MAX_COUNT),
    ]
    assert all(fits(errands.encode_errand(each)) for each in asked)
