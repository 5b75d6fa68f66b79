"""The keys of an identity provider as this server has them: fetched now and then, and when one is not known.

They are fetched by one task, never by who asks for a key: that is answered at once, also if it is "not yet".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from conduit.errors import Unavailable
from conduit.identity_provider import IdentityProvider
from conduit.tenancy.claims import Refused
from conduit.tenancy.fetching import FetchFailed, Source
from conduit.tenancy.jwks import NO_KEYS, BadJwks, Jwks, read_jwks

if TYPE_CHECKING:
    from joserfc.jwk import Key

# Between two log lines that say that keys cannot be fetched.
REPEAT_S = 60.0
DOUBLINGS_MAX_COUNT = 10

logger = logging.getLogger(__name__)


class Pace(NamedTuple):
    """How often keys are fetched, in seconds."""

    refresh_s: float = 300.0
    """After a fetch that went well."""
    unknown_s: float = 10.0
    """At the earliest after the last one, if a key is not known or that one failed."""
    retry_after_s: float = 1.0
    """Who is told to come again comes then."""


PACE = Pace()


class Keyring:
    """`start` it, then ask for keys; `close` it. `clock`: seconds that neither jump nor go back."""

    def __init__(
        self,
        provider: IdentityProvider,
        *,
        clock: Callable[[], float] = time.monotonic,
        pace: Pace = PACE,
    ) -> None:
        self._provider = provider
        self._source = Source(provider.jwks_url)
        self._host = urlsplit(provider.jwks_url).hostname
        self._clock = clock
        self._pace = pace
        self._jwks: Jwks = NO_KEYS
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._tried = asyncio.Event()
        self._is_fetching = False
        self._began_at: float | None = None
        self._fetched_at: float | None = None
        self._problem: str | None = None
        self._failed_count = 0
        self._told_at: float | None = None
        self._generation = 0

    def start(self) -> None:
        """Begin to fetch keys. Needs the loop; does not wait."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="jwks")

    async def tried(self) -> None:
        """Wait for what comes of the first fetch, which ends within its time limit."""
        await self._tried.wait()

    async def close(self) -> None:
        """End; a fetch that is under way is given up. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._wanted.clear()

    @property
    def count(self) -> int:
        """How many keys count now."""
        return self._current().count

    @property
    def problem(self) -> str | None:
        """Why the last fetch failed, in words for an operator; None if it did not."""
        return self._problem

    @property
    def generation(self) -> int:
        """Another one whenever keys come or go: what was found with those before counts no more."""
        self._current()
        return self._generation

    def key(self, key_id: str, algorithm: str) -> Key:
        """The key of this id for an algorithm.

        Raises Refused if there is none, and Unavailable if that is not known yet: then it is being found out.
        """
        jwks = self._current()
        found = jwks.keys.get((key_id, algorithm))
        if found is not None:
            return found
        if jwks.has(key_id):
            raise Refused("algorithm")
        wait_s = self._ask()
        if wait_s is None:
            raise Refused("unknown_key")
        raise Unavailable(
            "the keys of the identity provider are being fetched; try again", retry_after_s=wait_s
        )

    def _ask(self) -> float | None:
        """Have the keys fetched, if they were not just now. How long it takes to know more; None: no more is
        to be known."""
        if self._is_fetching:
            return self._pace.retry_after_s
        due_s = self._due_in_s()
        if due_s <= 0:
            self._wanted.set()
            return self._pace.retry_after_s
        # What could not be fetched may have the key.
        return None if self._problem is None else max(due_s, self._pace.retry_after_s)

    def _due_in_s(self) -> float:
        if self._began_at is None:
            return 0.0
        return self._began_at + self._pace.unknown_s - self._clock()

    def _current(self) -> Jwks:
        if (
            self._fetched_at is not None
            and self._jwks is not NO_KEYS
            and self._clock() - self._fetched_at > self._provider.max_age_s
        ):
            logger.error(
                "the keys of the identity provider at %s were not fetched for %d s: none counts any more",
                self._host,
                self._provider.max_age_s,
            )
            self._take(NO_KEYS)
        return self._jwks

    def _take(self, jwks: Jwks) -> None:
        self._jwks = jwks
        self._generation += 1

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            await self._fetch()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wanted.wait()

    def _pause_s(self) -> float:
        """After failures first short, then as long as otherwise."""
        if self._problem is None:
            return self._pace.refresh_s
        factor = 1 << min(self._failed_count - 1, DOUBLINGS_MAX_COUNT)
        return min(self._pace.unknown_s * factor, self._pace.refresh_s)

    async def _fetch(self) -> None:
        self._is_fetching = True
        self._began_at = self._clock()
        try:
            document = await self._source.fetch()
            jwks = read_jwks(document, self._provider.algorithms)
        except (FetchFailed, BadJwks) as error:
            self._failed(str(error))
        except Exception:
            # A bug, which must not end the task: its traceback has no token.
            logger.exception("the keys of the identity provider cannot be used")
            self._failed("the server made an error")
        else:
            self._succeeded(jwks)
        finally:
            self._is_fetching = False
            self._tried.set()

    def _failed(self, problem: str) -> None:
        self._problem = problem
        self._failed_count += 1
        now = self._clock()
        if self._told_at is None or now >= self._told_at + REPEAT_S:
            self._told_at = now
            logger.warning(
                "the keys of the identity provider at %s cannot be fetched (%d times): %s",
                self._host,
                self._failed_count,
                problem,
            )

    def _succeeded(self, jwks: Jwks) -> None:
        self._fetched_at = self._clock()
        if self._problem is not None:
            logger.warning("the keys of the identity provider at %s are there again", self._host)
        self._problem, self._failed_count, self._told_at = None, 0, None
        if jwks.digest == self._jwks.digest:
            return
        # Also if none is left: a key that was withdrawn must not count.
        self._take(jwks)
        logger.log(
            logging.INFO if jwks.keys else logging.WARNING,
            "the identity provider at %s has %d keys that can be used%s",
            self._host,
            jwks.count,
            _why_not(jwks),
        )


def _why_not(jwks: Jwks) -> str:
    """The keys that were left out, for the log."""
    if not jwks.left_out:
        return ""
    return "; left out: " + ", ".join(f"{count} {why}" for why, count in jwks.left_out.items())
