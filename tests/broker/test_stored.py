"""What a row of progress says without becoming a machine."""

import msgspec
import pytest

from conduit.broker.deliver.settings import DURABLE
from conduit.broker.deliver.stored import open_in, pending_count, restored
from conduit.core.delivery import Delivery
from conduit.core.lag import open_from
from conduit.core.message import Progress
from conduit.core.pages import INLINE_MAX_COUNT, Moment
from conduit.core.policy import Policy
from tests.broker.kit import ManualClock

POLICY = Policy(ack_wait_s=1.0, max_ack_wait_s=60.0, max_attempts=5, max_lost=20)
FEW, MANY = 20, 4 * INLINE_MAX_COUNT


@pytest.mark.parametrize("count", [FEW, MANY], ids=["in the row", "in pages"])
@pytest.mark.parametrize("first_seq", [1, 2, 9, FEW, MANY, MANY + 9])
def test_open_deliveries_of_a_row_are_those_of_its_machine(count, first_seq):
    delivery = Delivery(POLICY, 0, {})
    delivery.hand(1, count + 9, 1, 0.0)
    for seq in range(1, count + 1):
        if seq % 3:
            delivery.nack(seq, 0.0, 9.0, "later")
        else:
            delivery.ack(seq)
    for seq in range(3, count + 1, 6):
        assert delivery.redrive(seq, 0.0)
    snapshot, pages = delivery.snapshot(Moment(0.0, 0))
    assert bool(pages) == (count == MANY)
    encode = msgspec.msgpack.encode
    stored = {number: encode(page) for number, page in pages.items()}
    row = Progress(1, 1, delivery.floor, delivery.cursor, encode(snapshot), pages=stored)
    machine = restored(DURABLE, row, ManualClock())
    assert (
        open_in(row, first_seq) == open_from(machine, first_seq) == open_from(delivery, first_seq)
    )
    assert pending_count(row) == machine.waiting_count


def test_what_is_open_at_or_below_the_floor_counts_as_redriven_though_an_older_version_stored_it():
    delivery = Delivery(POLICY, 0, {})
    delivery.hand(1, 9, 1, 0.0)
    for seq in range(1, 8):
        delivery.ack(seq)
    delivery.redrive(2, 0.0)
    snapshot, _ = delivery.snapshot(Moment(0.0, 0))
    assert snapshot.page is not None
    snapshot.page.retries[0].is_redriven = False
    row = Progress(1, 1, delivery.floor, delivery.cursor, msgspec.msgpack.encode(snapshot))
    assert open_in(row, 20) == open_from(restored(DURABLE, row, ManualClock()), 20) == 1
