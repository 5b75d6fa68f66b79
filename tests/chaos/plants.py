"""Faults of a cluster that are planted, each with the faults from outside by which it shows."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.history import Kind
from tests.model.plant import Change, Plant


@dataclass(frozen=True)
class ClusterPlant:
    """`plant.shows` is a pattern for the names of violations that it stands for."""

    plant: Plant
    kinds: tuple[Kind, ...]
    times: int


_TWO_OWNERS = "two_at_once|confirmed_ack_delivered_again|delivered_by_nobody|out_of_order"

CLUSTER_PLANTS = (
    # An owner hands out whether it has its lease or not.
    ClusterPlant(
        Plant(
            "lease-check-off",
            _TWO_OWNERS,
            (
                Change(
                    "broker/deliver/title.py",
                    "        return NO_TERM != term == self.term and self._holds()\n",
                    "        return True\n",
                ),
            ),
        ),
        ("node-postgres", "stop"),
        3,
    ),
    # The store takes progress from whoever sends it.
    ClusterPlant(
        Plant(
            "fence-off",
            "stored_by_another",
            (
                Change(
                    "storage/postgres/subscriptions.py",
                    "coalesce(i.fence < o.fence, false) AS is_refused",
                    "false AS is_refused",
                ),
            ),
        ),
        ("node-postgres", "stop"),
        4,
    ),
    # What nobody has told is not looked for.
    ClusterPlant(
        Plant(
            "tail-check-off",
            "late_by_far|missed|not_drained",
            (
                Change(
                    "broker/deliver/tails.py",
                    "        if self._company.is_shared:\n            await self.round()\n",
                    "        return\n",
                ),
            ),
        ),
        ("links",),
        1,
    ),
    # Messages go to the feeds as they come, and the feeds do not look at their numbers either.
    ClusterPlant(
        Plant(
            "sequencing-off",
            "skipped|missed|altered",
            (
                Change(
                    "broker/deliver/sequencer.py",
                    "        if run.first <= topic.last_seq + 1 and topic.topic_id not in self._held:\n",
                    "        if True:\n",
                ),
                Change(
                    "broker/deliver/feed.py",
                    "        if known_count < 0:\n            self.skip_to(first_seq - 1)\n        elif",
                    "        if",
                ),
            ),
        ),
        ("kill",),
        1,
    ),
)
