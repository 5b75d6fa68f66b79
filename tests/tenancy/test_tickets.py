import re

import pytest

from conduit.storage.memory import MemoryStore
from conduit.tenancy.tickets import TICKET_FORM, TICKET_TTL_MS, Tickets
from tests.tenancy.kit import NOW_MS, refuses_soon

SECRET = b"secret of a test"


class Counting(MemoryStore):
    """One that counts how often it is asked for a ticket."""

    asked = 0

    async def ticket_take(self, ticket_hash, now_ms):
        self.asked += 1
        return await super().ticket_take(ticket_hash, now_ms)


async def test_a_ticket_is_good_once_for_what_it_was_given_for():
    tickets = Tickets(MemoryStore(), SECRET)
    ticket, expires_at_ms = await tickets.give(b"acme", NOW_MS)
    other, _ = await tickets.give(b"other", NOW_MS)
    assert expires_at_ms == NOW_MS + TICKET_TTL_MS == NOW_MS + 60_000
    assert await tickets.take(ticket, NOW_MS) == b"acme"
    await refuses_soon(tickets.take(ticket, NOW_MS), ticket)
    assert await tickets.take(other, expires_at_ms - 1) == b"other"


async def test_an_expired_ticket_is_refused_as_an_unknown_one_is():
    tickets = Tickets(MemoryStore(), SECRET)
    ticket, expires_at_ms = await tickets.give(b"acme", NOW_MS)
    await refuses_soon(tickets.take(ticket, expires_at_ms), ticket)
    await refuses_soon(tickets.take("ct_" + "0" * 43, NOW_MS), ticket)


async def test_the_store_never_has_the_ticket():
    store = MemoryStore()
    ticket, _ = await Tickets(store, SECRET).give(b"acme", NOW_MS)
    (kept,) = store._tickets
    assert len(kept) == 32
    assert ticket.removeprefix("ct_") not in repr(store._tickets)


async def test_tickets_are_long_known_by_their_beginning_and_never_the_same():
    tickets = Tickets(MemoryStore(), SECRET)
    given = [(await tickets.give(b"", NOW_MS))[0] for _ in range(500)]
    assert len(set(given)) == 500
    assert all(re.fullmatch(TICKET_FORM, ticket) for ticket in given)
    # Every place has every character now and then; the last one of a number below 2**72.
    for place in range(3, 45):
        assert len({ticket[place] for ticket in given}) > 50, place


async def test_the_store_is_not_asked_for_what_somebody_has_made_up():
    store = Counting()
    tickets = Tickets(store, SECRET)
    ticket, _ = await tickets.give(b"acme", NOW_MS)
    others, _ = await Tickets(store, b"secret of another").give(b"acme", NOW_MS)
    last = "0" if ticket[-1] != "0" else "1"
    first = "0" if ticket[3] != "0" else "1"
    for made_up in (others, ticket[:-1] + last, f"ct_{first}{ticket[4:]}", "ct_" + "0" * 43):
        await refuses_soon(tickets.take(made_up, NOW_MS), made_up)
    assert store.asked == 0
    assert await Tickets(store, SECRET).take(ticket, NOW_MS) == b"acme"


NO_TICKETS = """
ct_
{0:042}
ct_{0:042}
ct_{0:044}
CT_{0:043}
{0:046}
ct_{0:01000000}
"""


@pytest.mark.parametrize(
    "text", [*NO_TICKETS.format(0).split("\n"), f"ct_{0:043}\n", "ct_" + "é" * 43]
)
async def test_the_store_is_not_asked_for_what_is_no_ticket(text):
    store = Counting()
    await refuses_soon(Tickets(store, SECRET).take(text, NOW_MS), text)
    assert store.asked == 0
