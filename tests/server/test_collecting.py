"""What the garbage collector visits: what has come lately, and not what the server keeps."""

import gc
import logging
import weakref

import pytest

from conduit.server import collecting
from conduit.server.collecting import (
    GROWTH_MIN_BYTES,
    MIDDLE_COUNT,
    REPLACED_MAX_COUNT,
    YOUNG_COUNT,
    Collecting,
    Growth,
)

MIB = 1 << 20
# Of the young, those that a collection of the middle-aged has left over, and as many again.
VISITED_MAX_COUNT = 3 * YOUNG_COUNT * (MIDDLE_COUNT + 1)


@pytest.fixture
def process():
    """A collector that is started."""
    process = Collecting()
    process.start()
    yield process
    process.stop()


class Kept:
    """An object that may be in a cycle."""


def cycle() -> weakref.ref:
    """Garbage that only the collector frees."""
    one = Kept()
    one.other = one
    return weakref.ref(one)


@pytest.mark.parametrize(
    ("resident_mib", "is_beyond"),
    [(100, False), (611, False), (612, True)],
)
def test_a_small_process_may_grow_by_a_fixed_amount(resident_mib, is_beyond):
    growth = Growth(100 * MIB)
    assert GROWTH_MIN_BYTES == 512 * MIB
    assert growth.is_beyond_reason(resident_mib * MIB) == is_beyond


@pytest.mark.parametrize(("resident_mib", "is_beyond"), [(1_999, False), (2_000, True)])
def test_a_large_process_may_double(resident_mib, is_beyond):
    assert Growth(1_000 * MIB).is_beyond_reason(resident_mib * MIB) == is_beyond


def test_growth_counts_from_what_the_last_collection_left():
    growth = Growth(1_000 * MIB)
    growth.collected(1_800 * MIB)
    assert not growth.is_beyond_reason(2_100 * MIB)
    assert growth.is_beyond_reason(3_600 * MIB)


def test_where_the_system_does_not_say_what_is_used_nothing_is_collected():
    assert not Growth(0).is_beyond_reason(0)


def test_however_much_is_kept_a_collection_visits_only_what_has_come_lately(process):
    visited_counts = []

    def look(phase, info):
        if phase == "start":
            visited_counts.append(sum(len(gc.get_objects(each)) for each in range(3)))

    gc.callbacks.append(look)
    try:
        kept = [[number] for number in range(20 * VISITED_MAX_COUNT)]
    finally:
        gc.callbacks.remove(look)
    assert len(kept) == 20 * VISITED_MAX_COUNT
    assert len(visited_counts) > 100
    assert max(visited_counts) < VISITED_MAX_COUNT


def test_a_cycle_that_comes_and_goes_is_collected_still(process):
    lost = cycle()
    kept = [[number] for number in range(VISITED_MAX_COUNT)]
    assert kept
    assert lost() is None


def test_what_is_frozen_is_freed_by_its_last_reference(process):
    one = Kept()
    gc.freeze()
    there = weakref.ref(one)
    del one
    assert there() is None


def test_when_memory_has_doubled_everything_is_collected_and_that_is_said(
    process, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    gc.disable()
    lost = cycle()
    gc.freeze()
    gc.enable()
    process.look()
    assert lost() is not None
    process._growth.collected(1)
    monkeypatch.setattr(collecting, "GROWTH_MIN_BYTES", 1)
    process.look()
    assert lost() is None
    assert "memory has grown to" in caplog.text
    process.look()
    assert caplog.text.count("memory has grown to") == 1


@pytest.mark.parametrize("is_told", [True, False])
def test_what_comes_for_others_is_collected_in_parts(process: Collecting, is_told):
    sessions = [[[] for _ in range(50)] for _ in range(1_000)]
    gc.collect()
    for number in range(len(sessions)):
        sessions[number] = None
        if is_told:
            process.left()
            process.came()
        sessions[number] = [[] for _ in range(50)]
    young = sum(len(gc.get_objects(generation)) for generation in range(3))
    # If this fails where nobody tells it, Python counts otherwise, and `came` is not needed any more.
    assert (young < 60 * REPLACED_MAX_COUNT) == is_told


def test_pauses_are_counted():
    process = Collecting()
    pauses = process.pauses
    process.start()
    try:
        gc.collect(0)
        gc.collect()
    finally:
        process.stop()
    assert pauses.count >= 2
    assert 0 < pauses.longest_s <= pauses.total_s


def test_after_its_end_it_collects_as_before():
    before = gc.get_threshold(), list(gc.callbacks)
    process = Collecting()
    process.start()
    process.stop()
    process.stop()
    assert (gc.get_threshold(), list(gc.callbacks)) == before
