"""Every error that Conduit raises on purpose.

ConduitError                 has a stable `code`; `protocol/codes.py` maps it to HTTP and WebSocket
├─ RequestError              the caller asked for something we refuse; repeating it will not help
│  ├─ InvalidRequest         malformed or unknown input; `field` names the culprit where there is one
│  ├─ Unauthenticated        no credential that counts; which of the reasons it is is not told
│  ├─ Forbidden              the credential does not give the right
│  ├─ NotFound               the named thing does not exist
│  ├─ Conflict               the named thing exists, or its state forbids the request
│  └─ LimitReached           a bound with a name was hit: size, count
├─ Unavailable               try again later; `retry_after_s` says when
│  ├─ RateLimited            a rate with a name was reached: `limit` says which
│  ├─ StoreUnavailable       the store cannot be read or written now; nothing was changed
│  ├─ RegistryUnavailable    Redis cannot be used now; nodes go on without it
│  ├─ OutcomeUnknown         the store has a change and did not confirm it; it may have happened, or may still
│  ├─ OwnedElsewhere         another node runs the subscription: `owner` says which
│  ├─ MeantElsewhere         another node is to run it: this one does not claim it
│  └─ Overloaded             a bounded queue is full
├─ StoreDataError            the store refuses this batch's content; raised to the committer, which bisects
│  └─ KeyConflict            idempotency keys of it stand for other payloads; says which
├─ ConfigError               start-up only; lists all problems at once
└─ StateError                a bug in Conduit; peers see `internal` and nothing of its text
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class ConduitError(Exception):
    """Base of all. `code` is stable and part of the API; `detail` is for people and may change."""

    code = "internal"

    def __init__(self, detail: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.limit: str | None = None
        if code is not None:
            self.code = code

    @property
    def told(self) -> str:
        """What a peer may read."""
        return self.detail


class RequestError(ConduitError):
    """The request cannot be met as it stands."""

    code = "invalid_request"


class InvalidRequest(RequestError):
    """Input that breaks the grammar, a type or a range."""


class Unauthenticated(RequestError):
    """Nobody that is known asks. Wrong, expired and revoked credentials are told alike."""

    code = "unauthenticated"


class Forbidden(RequestError):
    """Who asks is known, and may not do that."""

    code = "forbidden"


class NotFound(RequestError):
    """The named thing does not exist for this tenant."""

    code = "not_found"


class Conflict(RequestError):
    """The request contradicts what exists."""

    code = "conflict"


class LimitReached(RequestError):
    """A named bound was reached: `limit` is the name, where it is one that can be set."""

    code = "limit_reached"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        field: str | None = None,
        limit: str | None = None,
    ) -> None:
        super().__init__(detail, code=code, field=field)
        self.limit = limit


class Unavailable(ConduitError):
    """The request was fine; the server cannot serve it now."""

    code = "unavailable"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        field: str | None = None,
        retry_after_s: float = 1.0,
    ) -> None:
        super().__init__(detail, code=code, field=field)
        self.retry_after_s = retry_after_s


class RateLimited(Unavailable):
    """A named rate was reached: `limit` is the name."""

    code = "rate_limited"

    def __init__(self, detail: str, *, limit: str, retry_after_s: float) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.limit = limit


class StoreUnavailable(Unavailable):
    """The store failed for a reason outside the request: disk, lock, connection. What was to be changed is
    not, and never will be."""

    code = "store_unavailable"
    place = ""
    """The server that it is about. The log has it before the rest of `detail`, and peers do not."""

    @classmethod
    def at(cls, place: str, detail: str) -> StoreUnavailable:
        """One that is about this server."""
        error = cls(f"{place}: {detail}")
        error.place = place
        return error

    @property
    def told(self) -> str:
        """Without the place."""
        return self.detail.removeprefix(f"{self.place}: ")


class RegistryUnavailable(Unavailable):
    """Redis cannot be used now. Nobody waits for it: no peer ever sees this. `trouble` is a word for what it
    is, `mend` says what an operator can do."""

    def __init__(self, detail: str, *, trouble: str, mend: str) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.mend = mend


class OutcomeUnknown(Unavailable):
    """The store has the request and has not confirmed it: it may be done already, or may still be."""

    code = "outcome_unknown"


class OwnedElsewhere(Unavailable):
    """A durable subscription runs on another node, whose lease holds: `owner` is its incarnation."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(f"subscription {name!r} runs on another node, and cannot be reached here")
        self.owner = owner


class MeantElsewhere(Unavailable):
    """A durable subscription is to run on another node, perhaps since a moment ago. This one does not claim
    it, and gives up what it has claimed; who asked is to go there. Nothing was done."""

    def __init__(self, name: str) -> None:
        super().__init__(f"subscription {name!r} is to run on another node; nothing was done")


class Overloaded(Unavailable):
    """A bounded queue is full."""

    code = "overloaded"


class StoreDataError(ConduitError):
    """At least one row of a batch is unacceptable to the store; the whole batch was rolled back."""

    code = "invalid_request"


class KeyConflict(StoreDataError):
    """Idempotency keys of a batch stand for other payloads: `keys` by the places of their messages in the
    batch. Nothing was stored."""

    code = "idempotency_conflict"

    def __init__(self, keys: Mapping[int, str]) -> None:
        super().__init__("idempotency keys of the batch were used for other payloads")
        self.keys = keys


class ConfigError(ConduitError):
    """The settings cannot be used. `problems` has one sentence for each."""

    code = "config"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class StateError(ConduitError):
    """An internal rule was broken. Never caused by a peer's input alone."""

    @classmethod
    def of(cls, error: Exception) -> StateError:
        """An error that nobody raised on purpose, as one of which the peer learns nothing."""
        bug = cls(str(error))
        bug.__cause__ = error
        return bug

    @property
    def told(self) -> str:
        """Nothing of the inside."""
        return "the server made an error"
