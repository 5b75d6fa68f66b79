"""Sessions of pages: who has signed in to the dashboard with an API key, as a cookie that no script reads.

The cookie says which key it is of, with which secret, and until when, and is signed by this server; no list
of sessions is kept. So it counts at every server of the store, also after a restart, exactly as long as the
key and its secret do, and gives what the key gives. Who signs out is remembered until the cookie would end.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence

import msgspec

from conduit.core.access import KeyRecord
from conduit.core.signed_out import Ended, SignedOut
from conduit.errors import Forbidden, Unauthenticated
from conduit.tenancy.claims import Refused, refused
from conduit.tenancy.compact import bytes_of, text_of
from conduit.tenancy.principal import Principal
from conduit.tenancy.registry import Registry, WallClock
from conduit.tenancy.remembered import Remembered

SESSION_MAX_S = 43_200
# Since it was renewed last, which a page does that is open.
SESSION_IDLE_S = 3_600
# The cookie is made anew no more often.
RENEWED_AFTER_S = 60
COOKIE_MAX_BYTES = 2_048
PATH_MAX_CHARS = 512
# Tenants that an operator looks at in one session, and that are known at a time.
TENANTS_MAX_COUNT = 8

# What a page wants that does not know its session yet.
ANY_SESSION = "1"

# So that scanners of secrets, and our log, know one when they see it.
COOKIE_PREFIX = "cs_"
_COOKIE = re.compile(r"cs_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})")
_ID_BYTES = 12
_GENERATION_BYTES = 16
_LABEL = b"conduit page sessions, version 1"
_GENERATION_LABEL = b"conduit: which secret of a key "
_NAME_LABEL = b"conduit: whose cookies "


class PageSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a cookie says. Without its signature it is no secret. Moments are ms since the epoch, UTC."""

    id: str
    key: str
    generation: str
    """Which secret of the key it was made with, of which it tells nothing."""
    ends_at_ms: int
    renewed_at_ms: int
    path: str
    """Where browsers reach the server: they send the cookie there, and nowhere else."""
    is_secure: bool
    """Whether they send it by TLS only."""


class PagePrincipal(Principal):
    """Somebody in a session: who has the key, `source`, until the session ends."""

    __slots__ = ("_is_ended", "_pages", "_source", "session")

    is_page = True

    def __init__(self, source: Principal, session: PageSession, pages: PageSessions) -> None:
        self._source, self._pages, self._is_ended = source, pages, False
        self.session = session
        ends = [session.ends_at_ms, source.expires_at_ms]
        super().__init__(
            source.tenant,
            source.actor,
            source.grants,
            key_id=source.key_id,
            expires_at_ms=min(end for end in ends if end is not None),
        )
        self.is_acting, self.proof = source.is_acting, source.proof
        self.limits, self.meter = source.limits, source.meter
        self.look_at_bounds()

    @property
    def source(self) -> Principal:
        """See `Principal.source`."""
        return self._source

    @property
    def is_over(self) -> bool:
        """See `Principal.is_over`."""
        return self._is_ended or self._source.is_over or self._pages.is_signed_out(self.session)

    @is_over.setter
    def is_over(self, is_over: bool) -> None:
        self._is_ended = is_over

    @property
    def is_used(self) -> bool:
        """See `Principal.is_used`: what is noted is when its key was."""
        return self._source.is_used

    @is_used.setter
    def is_used(self, is_used: bool) -> None:
        self._source.is_used = is_used

    def over(self, source: Principal) -> Principal:
        """See `Principal.over`."""
        return self._pages.admitted(self.session, source)


class _Known:
    """A cookie whose signature holds, and who has it, by the tenant that was named."""

    __slots__ = ("principals", "session")

    def __init__(self, session: PageSession) -> None:
        self.session = session
        self.principals: dict[str | None, PagePrincipal] = {}
        """By the tenant that was named; None: in its own, and of whom may name none, in all cases."""


class PageSessions:
    """Makes and checks them. `pepper`: of all servers on one store."""

    def __init__(self, registry: Registry, clock: WallClock, pepper: bytes) -> None:
        self._registry = registry
        self._clock = clock
        self._secret = hmac.digest(pepper, _LABEL, "sha256")
        self._decode = msgspec.json.Decoder(PageSession).decode
        self._remembered: Remembered[_Known] = Remembered()
        self.ended = Ended()
        # Browsers keep one cookie of a name for all ports of a host: each cluster has its own.
        self.cookie_name = f"conduit_session_{hmac.digest(pepper, _NAME_LABEL, 'sha256')[:4].hex()}"

    def begin(self, caller: Principal, path: str, *, is_secure: bool) -> PagePrincipal:
        """A session of somebody who has come with a key. Raises Forbidden."""
        if caller.is_page:
            raise Forbidden("a session is begun with an API key, and not out of a session")
        record = self._registry.made_by(caller, "sessions are begun")
        if caller.proof != record.secret_hash:
            raise Forbidden("this secret of the key was rotated: sign in with its new one")
        now_ms = self._clock.wall_ms()
        session = PageSession(
            id=secrets.token_urlsafe(_ID_BYTES),
            key=record.key_id,
            generation=self._generation(record),
            ends_at_ms=now_ms + SESSION_MAX_S * 1_000,
            renewed_at_ms=now_ms,
            path=path,
            is_secure=is_secure,
        )
        return PagePrincipal(caller, session, self)

    def renewed(self, session: PageSession) -> PageSession | None:
        """The same one as of now; None if that is not due."""
        now_ms = self._clock.wall_ms()
        if now_ms < session.renewed_at_ms + RENEWED_AFTER_S * 1_000:
            return None
        return msgspec.structs.replace(session, renewed_at_ms=now_ms)

    def cookie(self, session: PageSession) -> str:
        """The value of the cookie."""
        payload = msgspec.json.encode(session)
        return f"{COOKIE_PREFIX}{text_of(payload)}.{text_of(self._sign(payload))}"

    def signed(self, texts: Sequence[str]) -> list[tuple[str, PageSession]]:
        """Those of these cookies that a server of this store has made, with what they say."""
        found = []
        for text in texts:
            try:
                found.append((text, self._known(text).session))
            except Refused:
                continue
        return found

    def chosen(self, texts: Sequence[str], wanted: str) -> str:
        """Which of these cookies counts for a page: that of the session with this id; or if any will do, of
        those that are signed the one that ends last. Raises Unauthenticated if another session has taken its
        place, and if any would do and they are of several keys: somebody else may have set one."""
        signed = self.signed(texts)
        if not signed:
            return texts[0]
        if wanted != ANY_SESSION:
            for text, session in signed:
                if session.id == wanted:
                    return text
            raise Unauthenticated(
                "this page is of another session than the browser's is now: somebody has signed in since"
            )
        if len({session.key for _, session in signed}) > 1:
            raise Unauthenticated(
                "the browser sends sessions of several keys: sign out below the other path of this host, or "
                "close the browser"
            )
        return max(signed, key=lambda each: (each[1].ends_at_ms, each[1].renewed_at_ms))[0]

    def sign_out(self, session: PageSession) -> SignedOut:
        """It counts no more here; what other nodes are told."""
        one = SignedOut(session.key, session.ends_at_ms, session.id)
        self.ended.add(one, self._clock.wall_ms())
        return one

    def is_signed_out(self, session: PageSession) -> bool:
        """Before its time."""
        return self.ended.has(session.key, session.id, session.ends_at_ms)

    def verify(self, text: str, tenant: str | None) -> Principal:
        """Who has this cookie; `tenant`: who names that one, which only operators can.

        Raises Unauthenticated, which does not say why, and NotFound `tenant_not_found`.
        """
        try:
            known = self._known(text)
        except Refused:
            raise refused() from None
        session, now_ms = known.session, self._clock.wall_ms()
        idle_end_ms = session.renewed_at_ms + SESSION_IDLE_S * 1_000
        if now_ms >= min(session.ends_at_ms, idle_end_ms) or self.is_signed_out(session):
            raise refused()
        principal = known.principals.get(tenant) or known.principals.get(None)
        if principal is not None and principal.may("admin") and tenant not in known.principals:
            principal = None
        if principal is not None and not principal.is_over and not principal.is_expired(now_ms):
            principal.is_used = True
            return principal
        return self._principal(known, tenant, now_ms)

    def admitted(self, session: PageSession, source: Principal) -> Principal:
        """Who has come with what was made in a session. Raises Unauthenticated if that has ended, as it does
        when its key gets another secret, also while the former one counts."""
        if self._clock.wall_ms() >= session.ends_at_ms or self.is_signed_out(session):
            raise refused()
        self._check_generation(session, self._registry.good_key(session.key))
        return PagePrincipal(source, session, self)

    def _principal(self, known: _Known, tenant: str | None, now_ms: int) -> Principal:
        session, registry = known.session, self._registry
        record = registry.good_key(session.key)
        self._check_generation(session, record)
        default = registry.default
        if default is not None and default.proof == record.secret_hash:
            source = default
        else:
            source = registry.by_proof(record.key_id, record.secret_hash, record.tenant)
        # Whatever others name changes nothing, and takes no room.
        named = tenant if source.may("admin") else None
        if named is not None:
            source = registry.acting_for(source, named, is_named=True)
        principal = PagePrincipal(source, session, self)
        if principal.is_expired(now_ms):
            raise refused()
        if len(known.principals) >= TENANTS_MAX_COUNT:
            known.principals.clear()
        known.principals[named] = principal
        return principal

    def _known(self, text: str) -> _Known:
        if len(text) > COOKIE_MAX_BYTES:
            raise Refused("size")
        known = self._remembered.get(text)
        if known is None:
            known = _Known(self._read(text))
            self._remembered.put(text, known)
        return known

    def _read(self, text: str) -> PageSession:
        form = _COOKIE.fullmatch(text)
        if form is None:
            raise Refused("form")
        payload, signature = bytes_of(form[1]), bytes_of(form[2])
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise Refused("signature")
        try:
            # Of a version that says something else, perhaps.
            return self._decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused("form") from None

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, payload, "sha256")

    def _check_generation(self, session: PageSession, record: KeyRecord) -> None:
        if not hmac.compare_digest(self._generation(record), session.generation):
            raise refused()

    def _generation(self, record: KeyRecord) -> str:
        digest = hmac.digest(self._secret, _GENERATION_LABEL + record.secret_hash, "sha256")
        return text_of(digest[:_GENERATION_BYTES])
