import random
from itertools import islice

import pytest

from conduit.core.message import Message
from conduit.storage.memory.messages import CUT_SHARE, PIECE_COUNT, Messages


def message(seq: int) -> Message:
    return Message(f"id-{seq}", seq, 2 * seq, b"{}")


def test_it_is_a_list_that_loses_its_oldest():
    messages, model, dice = Messages(), [], random.Random(1)
    for seq in range(1, 40_000):
        messages.append(message(seq))
        model.append(message(seq))
        if dice.random() < 0.003:
            count = dice.choice([0, 1, 5, 300, 1_000])
            assert messages.take(count) == model[:count]
            del model[:count]
            start = dice.randrange(len(model) + 1)
            assert messages.slice(start, start + 7) == model[start : start + 7]
            assert list(islice(messages.oldest(), 3)) == model[:3]
    assert len(messages) == len(model) > 2 * PIECE_COUNT
    assert (messages[0], messages[len(messages) - 1]) == (model[0], model[-1])
    assert list(messages.oldest()) == model
    assert messages.take(len(model) + 5) == model
    assert (len(messages), messages.take(1), list(messages.oldest())) == (0, [], [])
    messages.append(message(1))
    assert messages.slice(0, 9) == [message(1)]


def test_a_position_is_found_by_time_among_those_that_are_left():
    messages = Messages()
    for seq in range(1, 101):
        messages.append(message(seq))
    messages.take(10)
    assert [messages.position_at(time_ms) for time_ms in (0, 22, 23, 24, 200, 201)] == [
        0,
        0,
        1,
        1,
        89,
        90,
    ]


@pytest.mark.parametrize("count", [3, 100, 20_000])
def test_the_places_of_what_was_taken_are_given_back_before_they_are_many(count):
    messages = Messages()
    for seq in range(1, count + 1):
        messages.append(message(seq))
    while messages:
        messages.take(max(1, count // 50))
        assert len(messages._items) - len(messages) <= len(messages._items) // CUT_SHARE
