"""The machine's clocks, as the server reads them."""

import time

from conduit.broker.clock import SystemClock, boot_s


def test_stamps_are_of_the_moment_and_deadlines_do_not_move_with_the_wall_clock(monkeypatch):
    clock = SystemClock()
    before = clock.now()
    monkeypatch.setattr(time, "time_ns", lambda: 5_000_999_999)
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert clock.wall_ms() == 5_000
    assert clock.reading().wall_ms == 5_000
    assert before <= clock.now() < before + 60


def test_two_processes_of_one_boot_know_how_much_time_is_between_them():
    first, second = SystemClock().reading(), SystemClock().reading()
    assert first.boot_id == second.boot_id
    assert 0 <= second.boot_ms - first.boot_ms < 60_000


def test_the_clock_for_leases_moves_with_no_wall_clock(monkeypatch):
    before = boot_s()
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert before <= boot_s() < before + 60
    assert abs(boot_s() * 1000 - SystemClock().reading().boot_ms) < 60_000
