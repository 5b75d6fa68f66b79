"""Who asks, and what they may do.

A `Principal` is made when a credential is checked, and shared by all connections that have signed in with it.
It is asked before every publish and subscribe: what it holds is made for that. When its key is revoked or
changed it `is_over`: whoever has it signs in again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import ClassVar

from conduit.core.topics import matcher
from conduit.errors import ConduitError, Forbidden, Unauthenticated
from conduit.grants import SCOPES, Grant, Scope, covered, covers
from conduit.limits import NO_LIMITS, TenantLimits
from conduit.names import DEFAULT_TENANT, is_pattern
from conduit.tenancy.meters import Meter

ANONYMOUS = "anonymous"
DEFAULT_KEY_ACTOR = "default_api_key"
# The same for every reason: whoever tries credentials does not learn how near one was.
NOT_KNOWN = "the key or token is missing, or is not good"


Permission = Callable[[str], bool]


class Principal:
    """One who may do something in one tenant."""

    __slots__ = (
        "_may",
        "actor",
        "expires_at_ms",
        "grants",
        "is_acting",
        "is_bounded",
        "is_known",
        "is_over",
        "is_refused",
        "is_token",
        "is_used",
        "key_id",
        "limits",
        "meter",
        "proof",
        "publishes",
        "tenant",
    )

    is_page: ClassVar[bool] = False
    """Whether it is somebody's in a session of a page."""

    def __init__(
        self,
        tenant: str,
        actor: str,
        grants: Iterable[Grant],
        *,
        key_id: str | None = None,
        expires_at_ms: int | None = None,
        is_token: bool = False,
    ) -> None:
        self.tenant = tenant
        self.actor = actor
        """As the audit log has it."""
        self.grants = tuple(grants)
        self.key_id = key_id
        self.expires_at_ms = expires_at_ms
        self.is_token = is_token
        """Whether it is a token's: those make no topics and no subscriptions."""
        self.is_known = True
        self.is_refused = False
        """Whether there was a credential, and it is not good."""
        self.is_acting = False
        """Whether it is an operator's, in a tenant that it has named."""
        self.is_over = False
        self.is_used = True
        """Set when it is used, unset when that was noted."""
        self.limits: TenantLimits = NO_LIMITS
        """Of its key."""
        self.meter: Meter | None = None
        self.proof = b""
        """The hash that it was known by, for those who sign in again without the credential."""
        self._may = {scope: _permission(self.grants, scope) for scope in SCOPES}
        # Of most everything is allowed, and that is all that the way of a publish asks.
        self.publishes = self._may["publish"]
        self.is_bounded = False
        self.look_at_bounds()

    def look_at_bounds(self) -> None:
        """Its limits may be others now."""
        meter = self.meter
        is_metered = meter is not None and (meter.is_metered or meter.message_max_bytes is not None)
        has_end = self.is_over or self.expires_at_ms is not None
        self.is_bounded = is_metered or has_end or self.publishes is not _always

    @property
    def source(self) -> Principal:
        """Who has the credential itself, of which this may be a session."""
        return self

    def over(self, source: Principal) -> Principal:
        """The same for who has the credential now. Raises Unauthenticated if this has ended."""
        return source

    def end(self) -> None:
        """Its key was revoked or changed: whoever has this must sign in again before it does anything."""
        self.is_over = self.is_bounded = True

    def may(self, scope: Scope, topic: str | None = None) -> bool:
        """Whether it has the right at all; or for this topic, or for every topic of this pattern."""
        if topic is None:
            return self._may[scope] is not _never
        if is_pattern(topic):
            return any(covered(each.topics, topic) for each in self._of(scope))
        return self._may[scope](topic)

    def patterns(self, scopes: Sequence[Scope]) -> Sequence[str] | None:
        """Those of all topics for which it has one of the rights, at most ALL_PATTERNS_MAX_COUNT; None: all
        topics of the tenant."""
        if any(self.is_whole(scope) for scope in scopes):
            return None
        given = (each for scope in scopes for each in self._of(scope))
        return list(dict.fromkeys(pattern for each in given for pattern in each.topics or ()))

    def is_whole(self, scope: Scope) -> bool:
        """Whether it has the right for all topics of the tenant."""
        return self._may[scope] is _always

    def check(self, scopes: Sequence[Scope], topic: str | None = None) -> None:
        """One of the rights is enough. Raises Forbidden, and what `refusal` says if nobody is known."""
        if not any(self.may(scope, topic) for scope in scopes):
            raise self.refusal(scopes, topic)

    def check_publish(self, topic: str, now_ms: int) -> None:
        """For those that are `is_bounded`. Raises as `check` does."""
        if self.is_over or self.is_expired(now_ms):
            raise Unauthenticated(NOT_KNOWN)
        if not self.publishes(topic):
            raise self.refusal(("publish",), topic)

    def check_subscribe(self, topic: str, subscription: str | None) -> None:
        """Raises as `check` does."""
        if not self.may_subscribe(topic, subscription):
            raise self.refusal(("subscribe",), topic if subscription is None else subscription)

    def may_subscribe(self, topic: str, subscription: str | None) -> bool:
        """Whether one grant gives both the topic, or pattern, and the durable subscription."""
        return any(
            covered(each.topics, topic) and self._may_use(each, subscription)
            for each in self._of("subscribe")
        )

    def is_expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_at_ms is not None and now_ms >= self.expires_at_ms

    def refusal(self, scopes: Sequence[Scope], what: str | None = None) -> ConduitError:
        """What it is told that has none of the rights."""
        if self.actor == ANONYMOUS:
            return Forbidden(
                f"there is no authentication, so nobody has the right to {' or '.join(scopes)}: start the"
                " server with ENABLE_AUTH=true"
            )
        place = "" if what is None else f" for {what!r}"
        return Forbidden(
            f"the key or token does not give the right to {' or '.join(scopes)}{place}"
        )

    def _of(self, scope: Scope) -> Iterable[Grant]:
        return (each for each in self.grants if each.scope in (scope, "admin"))

    def _may_use(self, grant: Grant, subscription: str | None) -> bool:
        if subscription is None:
            return True
        if grant.subscriptions is None:
            return not self.is_token
        return any(covers(each, subscription) for each in grant.subscriptions)


class Nobody(Principal):
    """Who has given no credential, or none that counts; `error` is what it is told."""

    __slots__ = ("_error",)

    def __init__(self, error: ConduitError | None = None) -> None:
        super().__init__("", ANONYMOUS, ())
        self.is_known = False
        self.is_refused = error is not None
        self.is_bounded = True
        self._error = copy(error or Unauthenticated(NOT_KNOWN))

    def check_publish(self, topic: str, now_ms: int) -> None:
        """See `Principal.check_publish`."""
        raise self.refusal(())

    def refusal(self, scopes: Sequence[Scope], what: str | None = None) -> ConduitError:
        """Made anew each time. One that was raised holds the frames that it came through, and these the
        connection, which has this: it would stay in memory until the collector comes."""
        return copy(self._error)


def make_anyone() -> Principal:
    """Who asks where there is no authentication: all that a tenant can do, and nothing of the operator's."""
    scopes: tuple[Scope, ...] = ("publish", "subscribe", "manage")
    return Principal(DEFAULT_TENANT, ANONYMOUS, [Grant(scope=scope) for scope in scopes])


def _always(_topic: str) -> bool:
    return True


def _never(_topic: str) -> bool:
    return False


def _permission(grants: Sequence[Grant], scope: Scope) -> Permission:
    """Whether a topic's name, which need not be valid, is allowed: as fast as one comparison where that can
    be, and for many patterns not much slower than for one."""
    given = [each for each in grants if each.scope in (scope, "admin")]
    if not given:
        return _never
    names: set[str] = set()
    matchers: list[Permission] = []
    for grant in given:
        if grant.topics is None:
            return _always
        for pattern in grant.topics:
            if is_pattern(pattern):
                matchers.append(matcher(pattern))
            else:
                names.add(pattern)
    known = frozenset(names)
    some = tuple(matchers)
    return lambda topic: topic in known or any(matches(topic) for matches in some)
