"""Other servers on the same log are told in the log when they come and when they are gone."""

import logging

import pytest

from conduit.broker.company import ALONE_AFTER_S, TELL_INTERVAL_S, Company
from conduit.storage.memory import MemoryStore


class Known(Company):
    """One that is told how many servers there are."""

    def tick(self, server_count: int, now: float, *, takes_over: bool = True) -> None:
        self._store.server_count = server_count
        super().tick(now, takes_over=takes_over)


@pytest.fixture
def company(caplog):
    caplog.set_level(logging.INFO)
    return Known(MemoryStore())


def lines(caplog) -> list[str]:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return found


def test_it_is_said_once_that_another_uses_the_log_and_once_that_it_is_gone(company, caplog):
    for now in range(3):
        company.tick(1, now)
    assert lines(caplog) == []
    for now in range(3, 60):
        company.tick(2, now)
    (began,) = lines(caplog)
    assert began.startswith("2 servers use this log")
    assert "INTERNAL_SECRET" in began
    assert company.is_shared
    for now in range(60, 120):
        company.tick(1, now)
    (ended,) = lines(caplog)
    assert "alone again" in ended
    assert not company.is_shared


def test_nodes_that_have_a_lease_are_counted_and_not_one_that_was_killed(company, caplog):
    company.has_leases, company.live_count = True, 0
    company.tick(3, 0.0)
    assert lines(caplog) == []
    company.live_count = 2
    company.tick(3, 1.0)
    (said,) = lines(caplog)
    assert said.startswith("2 servers use this log")
    company.live_count = 1
    company.tick(3, 1.0 + TELL_INTERVAL_S)
    (said,) = lines(caplog)
    assert "alone again" in said
    company.live_count = 0
    company.tick(3, 1.0 + 2 * TELL_INTERVAL_S)
    assert lines(caplog) == []
    # Whoever says that it is there may store something.
    assert company.is_shared


def test_where_there_are_links_nothing_has_to_be_done(company, caplog):
    company.tick(3, 0.0, takes_over=False)
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("INFO", "3 servers use this log")


def test_of_those_that_are_meant_to_be_there_nothing_is_said(caplog):
    caplog.set_level(logging.INFO)
    company = Known(MemoryStore(), 3)
    for now, count in enumerate([1, 2, 3] * 20):
        company.tick(count, now)
        assert company.is_shared is (now > 0)
    assert lines(caplog) == []
    for now in range(60, 80):
        company.tick(4, now)
    (said,) = lines(caplog)
    assert said.startswith("4 servers use this log")


def test_for_a_moment_after_the_last_other_one_was_seen_the_log_counts_as_shared(company):
    assert not company.is_shared
    company.tick(2, 10.0)
    company.tick(1, 10.0 + ALONE_AFTER_S - 0.1)
    assert company.is_shared
    company.tick(1, 10.0 + ALONE_AFTER_S)
    assert not company.is_shared


@pytest.mark.parametrize(("live_count", "is_shared"), [(0, True), (1, False), (2, True)])
def test_that_others_live_is_known_before_they_were_seen(company, live_count, is_shared):
    company.live_count = live_count
    assert company.is_shared is is_shared


def test_servers_that_come_and_go_all_the_time_do_not_fill_the_log(company, caplog):
    for now in range(100):
        company.tick(1 + now % 2, now)
    assert len(lines(caplog)) <= 100 / TELL_INTERVAL_S


async def test_a_broker_looks_every_second(caplog):
    from conduit.broker.broker import Broker, BrokerOptions
    from conduit.broker.clock import SystemClock
    from conduit.storage.memory import MemoryStore

    store = MemoryStore()
    broker = Broker(store, SystemClock(), BrokerOptions())
    await broker.start()
    store.server_count = 2
    broker._ticked()
    await broker.stop()
    assert any(line.startswith("2 servers use this log") for line in lines(caplog))
