"""What a node and a connection have of the log in memory: bounds, and who gives way."""

import asyncio

from conduit.broker.deliver.budget import READ_BYTES, TOLD_MAX_COUNT, Budget
from conduit.broker.deliver.reads import BUSY_MAX_COUNT, IN_USE_MAX_BYTES, Reads
from conduit.broker.stats import Stats
from conduit.broker.turn import Turn


class Thing:
    """A tail or a page; or somebody who waits, of one tenant."""

    def __init__(self, whose="a"):
        self.whose = whose
        self.is_dropped = False
        self.told_count = 0

    def drop(self):
        self.is_dropped = True

    def freed(self):
        self.told_count += 1


def made(max_bytes):
    turn = Turn(lambda: 0.0)
    budget = Budget(turn, Stats(0.0), max_bytes)
    return budget, Reads(turn, budget)


def dropped(things):
    return [number for number, thing in enumerate(things) if thing.is_dropped]


def test_the_tail_that_has_not_grown_for_longest_gives_way():
    budget, _ = made(100)
    tails = [Thing() for _ in range(4)]
    for tail in tails[:3]:
        budget.keep_tail(tail, 30)
    budget.keep_tail(tails[0], 35)
    budget.keep_tail(tails[3], 30)
    assert dropped(tails) == [1]
    assert budget.held_bytes == 95
    budget.forget_tail(tails[2])
    budget.forget_tail(tails[2])
    assert budget.held_bytes == 65


def test_pages_give_way_to_tails_only_where_they_have_more_than_half():
    budget, _ = made(100)
    pages, tails = [Thing() for _ in range(3)], [Thing() for _ in range(3)]
    for page in pages:
        budget.keep_page(page, 30)
    budget.keep_tail(tails[0], 30)
    assert dropped(pages) == [0]
    budget.keep_tail(tails[1], 30)
    assert dropped(pages) == [0, 1]
    budget.keep_tail(tails[2], 30)
    assert dropped(pages) == [0, 1]
    assert dropped(tails) == [0]


def test_what_is_in_use_does_not_go_and_others_make_room_for_it():
    budget, _ = made(100)
    tail, page = Thing(), Thing()
    budget.keep_tail(tail, 50)
    budget.keep_page(page, 40)
    budget.take_page(page)
    budget.use(40)
    budget.use(20)
    assert dropped([tail, page]) == [0]
    budget.use(100)
    assert dropped([tail, page]) == [0]
    assert budget.held_bytes == 160


async def test_only_so_many_of_a_connection_read_at_a_time_and_who_waits_is_told_in_turn():
    _, reads = made(100 * READ_BYTES)
    for _ in range(BUSY_MAX_COUNT):
        assert reads.is_free
        reads.begin()
    assert not reads.is_free
    first, second = Thing(), Thing()
    reads.wait(first)
    reads.wait(second)
    reads.end()
    await asyncio.sleep(0)
    assert (first.told_count, second.told_count) == (1, 1)
    reads.end()
    await asyncio.sleep(0)
    assert (first.told_count, second.told_count) == (1, 1)


def test_a_connection_reads_no_more_while_it_has_as_much_in_use_as_it_may():
    _, reads = made(100 * READ_BYTES)
    reads.begin()
    reads.use(IN_USE_MAX_BYTES)
    assert not reads.is_free
    reads.use(-READ_BYTES)
    assert reads.is_free
    # One message may be larger than all of it.
    reads.use(100 * READ_BYTES)
    reads.use(-100 * READ_BYTES)
    reads.end()
    assert reads.is_free


async def test_where_the_node_has_as_much_in_use_as_it_may_connections_wait_for_each_other():
    budget, reads = made(2 * READ_BYTES)
    budget.use(READ_BYTES)
    assert reads.is_free
    budget.use(READ_BYTES)
    assert not reads.is_free
    who = Thing()
    reads.wait(who)
    await asyncio.sleep(0)
    assert not who.told_count
    budget.use(-READ_BYTES)
    for _ in range(3):
        await asyncio.sleep(0)
    assert who.told_count == 1


async def test_whoever_is_told_and_does_not_read_holds_up_nobody():
    budget, _ = made(READ_BYTES)
    budget.use(READ_BYTES)
    crowd = [Thing() for _ in range(20)]
    for who in crowd:
        budget.wait(who)
    budget.use(-READ_BYTES)
    for _ in range(20):
        await asyncio.sleep(0)
    assert [who.told_count for who in crowd] == [1] * 20


async def test_a_connection_that_is_free_again_while_the_node_is_not_is_told_later():
    budget, reads = made(READ_BYTES)
    for _ in range(BUSY_MAX_COUNT):
        reads.begin()
    who = Thing()
    reads.wait(who)
    budget.use(READ_BYTES)
    reads.end()
    await asyncio.sleep(0)
    assert not who.told_count
    budget.use(-READ_BYTES)
    for _ in range(3):
        await asyncio.sleep(0)
    assert who.told_count == 1


async def test_tenants_that_wait_to_read_are_told_in_turn():
    budget, reads = made(2 * READ_BYTES)
    budget.use(2 * READ_BYTES)
    many, one = [Thing("a") for _ in range(2 * TOLD_MAX_COUNT)], Thing("b")
    for who in (*many, one):
        budget.wait(who)
    budget.use(-READ_BYTES)
    await asyncio.sleep(0)
    assert one.told_count == 1
    assert sum(who.told_count for who in many) >= TOLD_MAX_COUNT - 1
    assert reads.is_free
