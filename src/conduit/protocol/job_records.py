"""What is answered over HTTP about jobs that deal with many dead letters: as in records.py."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class LettersMeant(msgspec.Struct, frozen=True):
    """Which dead letters a job is for. What is null does not restrict; an empty `subscription` means those of
    ephemeral subscribers. `ids_count`: so many were named one by one, and only `topic` says more.
    """

    topic: str | None = None
    subscription: str | None = None
    reason: str | None = None
    from_time: str | None = None
    to_time: str | None = None
    q: str | None = None
    redriven: bool | None = None
    ids_count: int | None = None


NO_FILTER = LettersMeant()


class JobAnswer(msgspec.Struct, frozen=True):
    """A job that deals with dead letters. `action`: `redrive` or `discard`. A dry run has no `id`, the state
    `dry_run`, and has only counted.

    `state`: `running`, `done`, `cancelled`, `failed` (then `error` says why) or `dry_run`. If nothing
    matches, `error` says so. `which`: for which it was started. `node`: the one that runs it; null for who
    may not know nodes, and of a dry run.
    """

    id: str | None
    action: str
    state: str
    matched_count: int
    redriven_count: int
    discarded_count: int
    failed_count: int
    rate_per_s: float
    max_count: int
    started_at: str | None
    finished_at: str | None
    error: str | None
    which: LettersMeant = NO_FILTER
    node: str | None = None


class JobList(msgspec.Struct, frozen=True):
    """The jobs of a tenant: those that run first, then the newest first.

    Those of `nodes` are in it; nodes of `unanswered` live, did not answer within a second, and what they run
    is not in it. Who may not know nodes is told only how many that are.
    """

    jobs: list[JobAnswer]
    unanswered_count: int
    nodes: list[str] | UnsetType = UNSET
    unanswered: list[str] | UnsetType = UNSET
