"""Tells other nodes what this one does, when they ask."""

from __future__ import annotations

from collections.abc import Sequence

from conduit.cluster.inquiries import Kind, Question, decode_question, encode_answer
from conduit.cluster.links.handshake import Identity
from conduit.cluster.links.requests import Asked
from conduit.cluster.own_state import OwnState
from conduit.core.signed_out import SignedOut
from conduit.errors import InvalidRequest, Unavailable

_KINDS = frozenset(Kind)


class Answering:
    """Of the node that is called `own`."""

    def __init__(self, own: Identity, state: OwnState) -> None:
        self._own = own
        self._state = state

    def serve(self, asked: Asked) -> bool:
        """Answer it at once; False if it is nothing of this. Raises InvalidRequest, and Unavailable if
        another run of this node was meant."""
        if asked.kind not in _KINDS:
            return False
        question = decode_question(asked.body)
        if question.incarnation != self._own.incarnation:
            raise Unavailable(f"another run of node {self._own.name} is meant")
        asked.reply(encode_answer(self._answer(Kind(asked.kind), question)))
        return True

    def _answer(self, kind: Kind, question: Question) -> object:
        state, tenant = self._state, question.tenant
        match kind:
            case Kind.STATE:
                return state.state()
            case Kind.STATS:
                return state.figures(tenant)
            case Kind.HISTORY:
                return state.history(tenant, question.interval_s, question.limit)
            case Kind.ATTENTION:
                return state.attention(tenant)
            case Kind.BUSIEST:
                return state.busiest(tenant, question.limit, question.patterns)
            case Kind.USAGE:
                return state.usage(question.names)
            case Kind.SIGNED_OUT:
                return _signed_out(state, question)
        return _of_tenant(state, kind, question)


def _of_tenant(state: OwnState, kind: Kind, question: Question) -> object:
    """What is about things of one tenant: without its name nobody is told anything. Raises InvalidRequest."""
    tenant, names = question.tenant, question.names
    if tenant is None or not (names or kind is Kind.JOBS):
        raise InvalidRequest(f"{kind} needs a tenant, and names")
    match kind:
        case Kind.JOBS:
            return state.jobs(tenant)
        case Kind.SUBSCRIBERS:
            return state.subscribers(tenant, names)
        case Kind.ACTIVITY:
            return state.activity(tenant, names)
        case Kind.CANCEL:
            return state.cancel_job(tenant, names[0])
    return state.job(tenant, names[0])


def _signed_out(state: OwnState, question: Question) -> Sequence[SignedOut]:
    match question.names:
        case []:
            return state.signed_out()
        case [key, ends_at_ms, id_] if ends_at_ms.isdecimal():
            state.sign_out(SignedOut(key, int(ends_at_ms), id_))
            return []
        case _:
            raise InvalidRequest(f"{Kind.SIGNED_OUT} needs a key, an end and the id of a session")
