import pytest

from conduit.core.delivery import Delivery
from conduit.core.lag import lag_of, open_from, stored_lag_of
from conduit.core.policy import Policy

POLICY = Policy(ack_wait_s=1.0, max_ack_wait_s=60.0, max_attempts=5, max_lost=20)


@pytest.fixture
def delivery():
    """Of 1 to 10 two are settled, 3 waits, 4 to 10 but for 6 are out; it knows nothing of what follows."""
    found = Delivery(POLICY, 0, {})
    found.hand(1, 10, 1, 0.0)
    for seq in (1, 2, 6):
        found.ack(seq)
    found.nack(3, 0.0, 9.0, "later")
    return found


def test_what_was_not_handed_out_and_what_is_open_is_not_settled(delivery):
    assert lag_of(delivery, 1, 20) == 10 + 7


@pytest.mark.parametrize(
    ("first_seq", "lag"), [(3, 17), (4, 16), (7, 14), (10, 11), (11, 10), (15, 6), (21, 0)]
)
def test_what_the_log_has_no_more_counts_for_nobody(delivery, first_seq, lag):
    assert lag_of(delivery, first_seq, 20) == lag


def test_a_topic_without_messages_has_no_lag(delivery):
    assert lag_of(Delivery(POLICY, 0, {}), 501, 500) == 0
    assert lag_of(delivery, 21, 20) == 0


def test_what_was_redriven_is_open_again_also_when_only_its_dead_letter_has_the_message(delivery):
    delivery.redrive(1, 0.0)
    assert [open_from(delivery, first) for first in (1, 2, 10, 11)] == [8, 8, 2, 1]
    # Above the floor, where others are open as well.
    delivery.redrive(6, 0.0)
    assert [open_from(delivery, first) for first in (1, 7, 11)] == [9, 6, 2]
    delivery.hand_again(6, 1, 0.0)
    delivery.nack(6, 0.0, 9.0, "later")
    assert open_from(delivery, 11) == 2
    assert (lag_of(delivery, 11, 20), stored_lag_of(delivery, 11, 20)) == (12, 10)
    delivery.ack(6)
    assert open_from(delivery, 11) == 1
