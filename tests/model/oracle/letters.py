"""Dead letters that the store drops: only where there are too many, and each is remembered as dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from conduit.storage.dead_letters import DeadBounds
from tests.model.oracle.log import Violation
from tests.model.oracle.state import LetterPlace, State

# Of one subscription, so many states of deliveries are asked for.
ASKED_MAX_COUNT = 5


def dropped(state: State, bounds: DeadBounds, there: Collection[LetterPlace]) -> None:
    """The store has removed what is too old, and made room; what is `there` now."""
    before = Counter(place[0] for place in state.letters)
    gone = [place for place in state.letters if place not in there]
    crowded = {place[0] for place in gone if not _is_over(state, place)}
    for name, count in Counter(place[0] for place in gone).items():
        most = bounds.max_count if name else bounds.ephemeral_max_count
        if name in crowded and before[name] - count < most:
            raise Violation(
                f"{count} letters of {name or 'nobody'} are dropped of {before[name]}: it may have {most}"
            )
    for place in gone:
        del state.letters[place]
        state.fates[place] = "dropped"
    state.counts["dead_letter_dropped"] += len(gone)


def _is_over(state: State, place: LetterPlace) -> bool:
    return state.ages.is_over(state.letters[place].since, state.now)


def nobody_has_too_many(state: State, bounds: DeadBounds) -> None:
    """The store has made room, and had time for it."""
    for name, count in Counter(place[0] for place in state.letters).items():
        if name and count > bounds.max_count:
            raise Violation(f"{name} has {count} dead letters of {bounds.max_count}")


def fates(state: State, name: str) -> Iterator[tuple[LetterPlace, str]]:
    """Some of its deliveries that died, were not redriven, and what they must be shown as."""
    subscription = state.durable[name]
    found = 0
    for line in subscription.lines.values():
        for seq in sorted(line.died):
            place = (name, line.topic.topic_id, seq)
            fate = "dead" if place in state.letters else state.fates.get(place)
            if fate is not None and found < ASKED_MAX_COUNT:
                found += 1
                yield place, fate
