"""Sessions of pages that were signed out elsewhere while there was no link: whoever is linked is asked for
those that it knows of."""

from __future__ import annotations

import msgspec

from conduit.cluster.asking import ASK_TIMEOUT_S
from conduit.cluster.inquiries import SIGNED_OUT, Question, encode_question
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.links import Links
from conduit.cluster.own_state import OwnState
from conduit.errors import ConduitError


class SignOuts:
    """`state` is told of them."""

    def __init__(self, links: Links, state: OwnState) -> None:
        self._links = links
        self._state = state

    def link_up(self, node: Identity) -> None:
        """There is a link: ask over it. Raises ConduitError."""
        link = self._links.to(node.name)
        if link is not None:
            question = encode_question(Question(node.incarnation))
            link.request(SIGNED_OUT.kind, question, ASK_TIMEOUT_S, self._answered)

    def _answered(self, outcome: bytes | ConduitError) -> None:
        """Who does not answer is asked again with the next link."""
        if isinstance(outcome, ConduitError):
            return
        try:
            found = SIGNED_OUT.decode(outcome)
        except msgspec.MsgspecError:
            return
        for each in found:
            self._state.sign_out(each)
