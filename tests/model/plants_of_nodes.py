"""Faults that only several nodes can have."""

from __future__ import annotations

from tests.model.plant import Change, Plant

_SEQUENCER = "broker/deliver/sequencer.py"

PLANTS_OF_NODES = (
    # A node hands out, whether it has its lease or not.
    Plant(
        "27-lease-not-checked",
        "settled for good|was confirmed|out with nobody|nobody acked it|as attempt|the first time after",
        (
            Change(
                "broker/deliver/title.py",
                "return NO_TERM != term == self.term and self._holds()",
                "return True",
            ),
        ),
        needs_nodes=True,
    ),
    # What an owner gives to the next one is not stored first.
    Plant(
        "28-hand-over-not-stored",
        "settled for good|and now it was not|as attempt|the first time after",
        (
            Change(
                "cluster/handing_over.py",
                "                await self._giving_away.stored()\n",
                "                await asyncio.sleep(0)\n",
            ),
        ),
        needs_nodes=True,
    ),
    # A link or a node that is lost counts against what its clients had.
    Plant(
        "29-lost-link-is-failure",
        "nobody rejected or failed it|failures are told",
        (
            Change(
                "cluster/guest.py",
                "self._is_lost = code == Ending.LOST",
                "self._is_lost = code != Ending.LEFT",
            ),
        ),
        needs_nodes=True,
    ),
    # What nodes store goes on as it comes, and nobody looks whether something is missing before it.
    Plant(
        "30-any-order",
        "did not, without a gap|is silent|came again",
        (
            Change(
                _SEQUENCER,
                "        if first_seq == topic.last_seq + 1 and topic.topic_id not in self._held:\n"
                "            return self._router.committed(topic, messages, first_seq)\n",
                "        if first_seq > topic.last_seq:\n"
                "            return self._router.committed(topic, messages, first_seq)\n",
            ),
            Change(
                _SEQUENCER,
                "        if first_seq == topic.last_seq + 1 and topic.topic_id not in self._held:\n"
                "            self._router.committed(topic, messages, first_seq)\n",
                "        if first_seq > topic.last_seq:\n"
                "            self._router.committed(topic, messages, first_seq)\n",
            ),
            Change(
                "broker/deliver/feed.py",
                "        if known_count < 0:\n            self.skip_to(first_seq - 1)\n        elif",
                "        if",
            ),
        ),
        needs_nodes=True,
    ),
)
