"""What is asked of owners, as bytes: the largest of it."""

from __future__ import annotations

from conduit.broker.administer.subscriptions import TOPICS_SHOWN_COUNT
from conduit.broker.administer.views import GAPS_SHOWN_COUNT, SubscriptionView
from conduit.cluster import errands
from conduit.cluster.at_owner import REDRIVEN_MAX_COUNT, VIEWS_MAX_COUNT
from conduit.cluster.errands import Errand
from conduit.cluster.links.frames import BODY_MAX_BYTES, TEXT_MAX_CHARS
from conduit.core.message import DeadPlace, SubscriptionRecord
from conduit.errors import NotFound
from conduit.names import NAME_LENGTH_MAX
from conduit.protocol.frames import SEQ_MAX
from conduit.protocol.records import GapAnswer, Moved, TopicProgress
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
    moved = Moved([PLACE] * TOPICS_SHOWN_COUNT, True, SEQ_MAX, False, [gap] * GAPS_SHOWN_COUNT)
    # A page is asked for with one more, to know whether there is a next one.
    pages = [[view] * VIEWS_MAX_COUNT, [PLACE] * (PAGE_MAX_COUNT + 1), moved]
    assert all(fits(errands.encode_done(errands.encode_answer(each))) for each in pages)
    error = NotFound("\N{PILE OF POO}" * TEXT_MAX_CHARS, field=NAME)
    refused = {f"{number:036}": error for number in range(REDRIVEN_MAX_COUNT)}
    assert fits(errands.encode_done(errands.encode_refused(refused)))


def test_what_owners_are_asked_fits_into_a_frame_of_a_link():
    place = DeadPlace(ID, NAME, NAME, SEQ_MAX, SEQ_MAX)
    asked = [
        Errand(ID, NAME, [NAME] * VIEWS_MAX_COUNT),
        Errand(ID, NAME, [NAME], places=[place] * REDRIVEN_MAX_COUNT),
    ]
    assert all(fits(errands.encode_errand(each)) for each in asked)
