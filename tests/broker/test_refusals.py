"""Publishes that are refused: counted by code, told in the log once in a while."""

import logging
from functools import partial

import msgspec
import pytest

from conduit.broker.causes import CAUSES_MAX_COUNT, REASON_MAX_CHARS, WARNING_INTERVAL_S
from conduit.broker.publish.admission import PublishLimits
from conduit.broker.publish.refusals import Refusals
from conduit.broker.stats import Stats
from conduit.broker.waiting import result_of
from conduit.errors import (
    InvalidRequest,
    LimitReached,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    StateError,
    StoreUnavailable,
)
from conduit.names import DEFAULT_TENANT
from conduit.protocol.frames import PublishRequest
from tests.broker.kit import running_broker


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="conduit.broker.causes")
    return lambda: [record.getMessage() for record in caplog.records]


def test_the_log_says_how_many_were_refused_and_why_at_once_and_then_once_a_minute(lines):
    refusals = Refusals(Stats(0.0))
    refusals.tick(0.0)
    for number in range(3):
        refusals.add(Overloaded(f"reason {number}"))
    refusals.tick(1.0)
    assert lines() == ["publishes refused with overloaded: 3, the last because: reason 2"]
    refusals.add(Overloaded("more"))
    refusals.add(StoreUnavailable("no disk"))
    refusals.tick(2.0)
    assert lines()[1:] == ["publishes refused with store_unavailable: 1, the last because: no disk"]
    refusals.tick(1.0 + WARNING_INTERVAL_S)
    refusals.tick(2.0 + WARNING_INTERVAL_S)
    assert lines()[2:] == ["publishes refused with overloaded: 1, the last because: more"]


def test_what_may_have_been_done_was_not_refused(lines):
    refusals = Refusals(Stats(0.0))
    refusals.add(OutcomeUnknown("the store does not answer"))
    refusals.tick(0.0)
    assert lines() == [
        "publishes answered with outcome_unknown: 1, the last because: the store does not answer"
    ]


def test_faults_of_publishers_are_told_by_code_with_the_last_as_an_example(lines):
    stats = Stats(0.0)
    refusals = Refusals(stats)
    for number in range(2):
        refusals.add(NotFound(f"no topic {number}", code="topic_not_found"))
    refusals.tick(0.0)
    assert lines() == ["publishes refused with topic_not_found: 2, the last because: no topic 1"]
    assert stats.publish_errors["topic_not_found"] == sum(stats.publish_errors.values()) == 2


def test_what_a_client_has_sent_is_one_short_line_in_the_log(lines):
    refusals = Refusals(Stats(0.0))
    refusals.add(InvalidRequest("unknown field 'a\nerror: \x1b[31mü\ud800'" + "x" * 10_000))
    refusals.tick(0.0)
    (line,) = lines()
    assert r"unknown field 'a\nerror: \x1b[31mü\ud800'" in line
    assert len(line) < REASON_MAX_CHARS + 100


async def test_a_publish_whose_topic_could_not_be_created_counts_too():
    limits = PublishLimits(auto_create_topics=True)
    async with running_broker(publish=limits, max_topics=1) as bench:
        await bench.broker.topics.create(DEFAULT_TENANT, "a")
        request = PublishRequest("b", msgspec.Raw(b"1"))
        for begin in (
            partial(bench.broker.publish, DEFAULT_TENANT, request),
            partial(bench.broker.publish_batch, DEFAULT_TENANT, [request]),
        ):
            with pytest.raises(LimitReached):
                await result_of(begin)
        assert bench.broker.stats.publish_errors["limit_reached"] == 2


def test_causes_of_one_code_are_told_apart(lines):
    refusals = Refusals(Stats(0.0))
    for _ in range(3):
        refusals.add(StoreUnavailable("the disk is full"))
    refusals.add(StoreUnavailable("the file is read-only"))
    refusals.tick(1.0)
    assert lines() == [
        "publishes refused with store_unavailable: 3, the last because: the disk is full",
        "publishes refused with store_unavailable: 1, the last because: the file is read-only",
    ]


def test_causes_without_end_are_told_together(lines):
    refusals = Refusals(Stats(0.0))
    for second in range(30):
        for number in range(100):
            refusals.add(StoreUnavailable(f"reason {second} {number}"))
        refusals.tick(second)
    assert len(lines()) == CAUSES_MAX_COUNT + 1


def test_a_fault_of_the_servers_own_is_told_too(lines):
    refusals = Refusals(Stats(0.0))
    refusals.add(StateError("SQLite refused a statement"))
    refusals.tick(1.0)
    assert lines() == [
        "publishes refused with internal: 1, the last because: SQLite refused a statement"
    ]
