"""Topics that a subscription has followed and that are gone: what its subscribers have to be told of each.

There is one gap for a name. It is told when a topic goes, if something was lost with it; and when one of that
name is made anew, for its numbers begin again. What is known to have been heard is stored with progress.
"""

from __future__ import annotations

from functools import partial

from conduit.broker.catalog import Topic
from conduit.broker.deliver.gaps import Gaps
from conduit.broker.deliver.progress import ProgressWriter
from conduit.protocol.frames import Gap
from conduit.storage.base import FORMER_MAX_COUNT, Former, Heard


class FormerTopics:
    """Those of one subscription, FORMER_MAX_COUNT at most: beyond it the oldest are forgotten."""

    __slots__ = ("_by_name", "_gaps", "_progress")

    def __init__(self, gaps: Gaps, progress: ProgressWriter) -> None:
        self._gaps = gaps
        self._progress = progress
        # The oldest first.
        self._by_name: dict[str, Former] = {}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def remember(self, gone: Former, there: Topic | None) -> None:
        """A topic of this name is gone; what is there now, if anything."""
        before = self._by_name.pop(gone.name, None)
        if before is not None:
            if (before.epoch, before.reason) == (gone.epoch, gone.reason):
                # The store was the first to say so.
                self._by_name[gone.name] = before
                return
            # Of that one something is to be told too, and there is one gap for a name.
            gone = gone._replace(last_seq=None)
        self._by_name[gone.name] = gone
        if len(self._by_name) > FORMER_MAX_COUNT:
            oldest = next(iter(self._by_name))
            del self._by_name[oldest]
            self._gaps.withdraw((oldest, 0))
        self._owe(gone, there)

    def topic_created(self, topic: Topic) -> None:
        """Tell the subscribers if there was another topic of this name."""
        gone = self._by_name.get(topic.name)
        if gone is not None:
            self._owe(gone, topic)

    def _owe(self, gone: Former, there: Topic | None) -> None:
        place, gap = (gone.name, 0), gap_of(gone, there)
        if gap is None:
            self._gaps.withdraw(place)
        else:
            self._gaps.owe(place, gap, partial(self._heard, gone, bool(gap.epoch)))

    def _heard(self, gone: Former, is_over: bool) -> None:
        if is_over:
            del self._by_name[gone.name]
        else:
            self._by_name[gone.name] = gone._replace(last_seq=gone.floor)
        group = self._gaps.group
        if group.name is not None:
            self._progress.heard(Heard(group.subscription_id, gone.name, gone.epoch, is_over))


def gap_of(gone: Former, there: Topic | None) -> Gap | None:
    """What is to be told of a topic that is gone; `there` is the topic that has its name now. None if nothing
    of it is lost that is not known, until one is made anew."""
    first = gone.floor + 1
    if there is not None and there.epoch != gone.epoch:
        return Gap(gone.name, first, None, "epoch_changed", there.epoch)
    if there is not None and gone.reason == "log_lost":
        return Gap(gone.name, first, gone.last_seq, "log_lost", there.epoch)
    if gone.last_seq is None or gone.last_seq >= first:
        # There is no topic, or it is on its way out, and the store has forgotten it already.
        return Gap(gone.name, first, gone.last_seq, "epoch_changed", "")
    return None
