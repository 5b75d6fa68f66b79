"""Other servers on the same log are told in the log when they come and when they are gone."""

import pytest

from conduit.broker.company import TELL_INTERVAL_S, Company


@pytest.fixture
def company():
    return Company()


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
    assert "docs/postgresql.md" in began
    for now in range(60, 120):
        company.tick(1, now)
    (ended,) = lines(caplog)
    assert "alone again" in ended


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
