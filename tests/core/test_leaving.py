from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.core.leaving import GIVEN, STAYING, Departure, Event, State

EVENTS = st.lists(st.sampled_from(Event), max_size=30)
# As long as nobody wants anything else: what leads on from each state.
ONWARD = [Event.TOLD, Event.HANDED_OVER, Event.SOMEBODY, Event.LINGERED, Event.CLOSED]
S, E = State, Event


def after(*events: Event) -> Departure:
    departure = Departure()
    for event in events:
        departure.on(event)
    return departure


def led_on(departure: Departure) -> list[State]:
    """The states through which it goes by itself."""
    found = []
    while any(departure.on(event) for event in ONWARD):
        found.append(departure.state)
    return found


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], S.SERVING),
        ([E.DRAIN], S.TELLING),
        ([E.DRAIN, E.DRAIN], S.TELLING),
        ([E.DRAIN, E.TOLD], S.HANDING_OVER),
        ([E.DRAIN, E.TOLD, E.HANDED_OVER], S.LINGERING),
        ([E.DRAIN, E.TOLD, E.NOBODY], S.ALONE),
        ([E.DRAIN, E.TOLD, E.NOBODY, E.SOMEBODY], S.HANDING_OVER),
        ([E.DRAIN, E.TOLD, E.HANDED_OVER, E.NOBODY], S.ALONE),
        ([E.DRAIN, E.TOLD, E.HANDED_OVER, E.LINGERED], S.CLOSING),
        ([E.DRAIN, E.TOLD, E.HANDED_OVER, E.LINGERED, E.NOBODY], S.CLOSING),
        ([E.DRAIN, E.TOLD, E.HANDED_OVER, E.LINGERED, E.CLOSED], S.DRAINED),
        ([E.DRAIN, E.UNDRAIN], S.RETURNING),
        ([E.DRAIN, E.UNDRAIN, E.TOLD], S.SERVING),
        ([E.DRAIN, E.UNDRAIN, E.DRAIN], S.TELLING),
        ([E.UNDRAIN], S.SERVING),
        ([E.END], S.SERVING),
        ([E.NOBODY], S.SERVING),
        ([E.STOP], S.TELLING),
        ([E.STOP, E.TOLD, E.NOBODY], S.LINGERING),
        # How long it lingers then says the server.
        ([E.STOP, E.TOLD, E.HANDED_OVER, E.LINGERED], S.LINGERING),
        ([E.STOP, E.UNDRAIN], S.TELLING),
        ([E.STOP, E.END], S.ENDING),
        ([E.DRAIN, E.TOLD, E.NOBODY, E.STOP], S.LINGERING),
        ([E.DRAIN, E.UNDRAIN, E.STOP], S.TELLING),
        ([E.DRAIN, E.TOLD, E.HANDED_OVER, E.LINGERED, E.CLOSED, E.STOP], S.DRAINED),
    ],
)
def test_what_happens_leads_where_the_table_says(events, state):
    assert after(*events).state is state


def test_an_order_that_comes_again_is_no_news():
    departure = Departure()
    assert departure.on(E.DRAIN)
    assert not departure.on(E.DRAIN)
    assert departure.on(E.UNDRAIN)
    assert not departure.on(E.UNDRAIN)


@given(EVENTS)
def test_from_wherever_it_is_it_gets_where_the_last_order_wants_it(events):
    departure = after(*(event for event in events if event is not E.STOP), E.DRAIN)
    led_on(departure)
    assert departure.state is S.DRAINED
    departure.on(E.UNDRAIN)
    assert led_on(departure)[-1] is S.SERVING


@given(EVENTS)
def test_sockets_are_closed_only_after_all_was_handed_over_since_the_last_order(events):
    departure, handed_over = Departure(), False
    for event in events:
        before = departure.state
        departure.on(event)
        if departure.state is S.TELLING and before is not S.TELLING:
            handed_over = False
        handed_over |= departure.state is S.LINGERING
        if departure.state in (S.CLOSING, S.DRAINED):
            assert handed_over


@given(EVENTS, EVENTS)
def test_when_it_stops_nothing_has_it_stay(before, later):
    departure = after(*before, E.STOP)
    assert departure.is_stopping
    for event in later:
        departure.on(event)
        assert not departure.stays
    departure.on(E.END)
    for event in Event:
        departure.on(event)
        assert departure.state is S.ENDING


def test_each_state_is_of_one_kind():
    for state in State:
        departure = Departure()
        departure.state = state
        assert (departure.stays, departure.is_given) == (state in STAYING, state in GIVEN)
    assert not STAYING & GIVEN
