"""The name of this node, and what is done when another process has it."""

from __future__ import annotations

import logging

import msgspec

from conduit.core.rival import Rival, Verdict
from conduit.errors import ConfigError
from conduit.storage.nodes import Node, NodeRecord

logger = logging.getLogger(__name__)


class Naming:
    """`other_name` is for a node whose name is taken by one that lives, and was not chosen by anybody."""

    def __init__(self, node: Node, other_name: str | None) -> None:
        self.node = node
        """As it is called now."""
        self._other_name = other_name
        self._rival: Rival | None = None
        self._by: NodeRecord | None = None

    def taken(self, by: NodeRecord, now: float) -> Verdict:
        """The store says that this one has the name; what is known of it by now. `now` is on one clock that
        does not go back."""
        self._by = by
        self._rival = self._rival or Rival(now)
        return self._rival.seen(by.incarnation, by.lease_until_ms, now)

    def settled(self) -> None:
        """The name is this node's, or was until now: what is found of others from now on is new."""
        self._rival = None

    def change(self) -> None:
        """Take the other name, because one that lives has this one. Raises ConfigError if there is none."""
        if self._other_name is None:
            raise self.refusal()
        logger.warning(
            "%s, the name of this machine, is that of the node at %s: this one is called %s; NODE_ID gives it"
            " a name that stays",
            self.node.name,
            self.holder,
            self._other_name,
        )
        self.node = msgspec.structs.replace(self.node, name=self._other_name)
        self._other_name = None
        self.settled()

    def refusal(self) -> ConfigError:
        """What is wrong, and what to do."""
        return ConfigError(
            [
                f"NODE_ID: {self.node.name} is the name of another node, at {self.holder}, which renews its"
                " lease: give each node a NODE_ID of its own, or stop that one."
            ]
        )

    @property
    def holder(self) -> str:
        """The address of who has the name, or had it last."""
        return "an unknown address" if self._by is None else self._by.address
