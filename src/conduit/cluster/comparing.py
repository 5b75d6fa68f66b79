"""Settings that must be the same on all nodes: whoever is linked is asked for its own, and the log is told of
those that differ.

They come with what a node says of itself (`inquiries.State`); a node of an older version says none, and is
believed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial

import msgspec

from conduit.cluster.asking import ASK_TIMEOUT_S
from conduit.cluster.inquiries import STATE, Question, encode_question
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.links import Links
from conduit.errors import ConduitError

# What it means that a setting differs.
_MEANINGS = {
    "ENABLE_AUTH": "whoever comes to the node without it reads and writes without a key",
    "REDIS_URL": "neither knows what the other wants, so they send each other everything, and `subscribers`"
    " in a receipt does not count those of the other",
}
# Longer ones are not shown whole: they are another node's text.
VALUE_MAX_CHARS = 40

logger = logging.getLogger(__name__)


class Comparing:
    """`own` are the settings of this node that the others are told: by name, without a secret in them."""

    def __init__(self, links: Links, own: Mapping[str, str]) -> None:
        self._links = links
        self._own = own
        # What the log was told last of each node that differs: a link that comes and goes does not fill it.
        self._told: dict[str, list[str]] = {}

    def link_up(self, node: Identity) -> None:
        """There is a link: ask over it. Raises ConduitError."""
        link = self._links.to(node.name)
        if link is not None:
            question = encode_question(Question(node.incarnation))
            answered = partial(self._answered, node.name)
            link.request(STATE.kind, question, ASK_TIMEOUT_S, answered)

    def _answered(self, name: str, outcome: bytes | ConduitError) -> None:
        """Of a node that does not answer nothing is known; it is asked again with the next link."""
        try:
            theirs = {} if isinstance(outcome, ConduitError) else STATE.decode(outcome).settings
        except msgspec.MsgspecError:
            return
        differ = [
            each for each in self._own if theirs.get(each, self._own[each]) != self._own[each]
        ]
        told = [f"{each} {theirs[each]}" for each in differ]
        if self._told.get(name, []) == told:
            return
        if theirs:
            self._told[name] = told
        for each in differ:
            logger.warning(
                "at node %s %s is %s, and at this one %s: %s. Give all nodes the same (docs/cluster.md)",
                name,
                each,
                _shown(theirs[each]),
                self._own[each],
                _MEANINGS.get(each, "what holds at one does not at the other"),
            )


def _shown(value: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in value[:VALUE_MAX_CHARS])
