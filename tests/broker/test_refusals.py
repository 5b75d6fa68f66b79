"""Publishes that are refused: counted by code, told in the log once in a while."""

import logging

import pytest

from conduit.broker.causes import CAUSES_MAX_COUNT, WARNING_INTERVAL_S
from conduit.broker.publish.refusals import Refusals
from conduit.broker.stats import Stats
from conduit.errors import NotFound, Overloaded, StateError, StoreUnavailable


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


def test_faults_of_publishers_are_counted_and_not_logged(lines):
    stats = Stats(0.0)
    refusals = Refusals(stats)
    refusals.add(NotFound("no topic", code="topic_not_found"))
    refusals.tick(0.0)
    assert lines() == []
    assert stats.publish_errors["topic_not_found"] == sum(stats.publish_errors.values()) == 1


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
