"""Whether figures count: not if something was lost, and not if it was the load that was the limit."""

from __future__ import annotations

from conduit.load.checks import Checks

# A load process this busy, beside a server less busy than that, measured itself.
LOAD_FULL_CORES = 0.95
SERVER_FULL_CORES = 0.90
# One send in a hundred may leave later than this.
LATE_MAX_MS = 1.0


def of_checks(checks: Checks) -> list[str]:
    """What of the messages speaks against the run."""
    found = []
    if checks.seen == 0:
        found.append("nothing was verified")
    if checks.lost:
        found.append(f"{checks.lost} lost")
    if checks.duplicates:
        found.append(f"{checks.duplicates} duplicates")
    if checks.disordered:
        found.append(f"{checks.disordered} out of order")
    return found


def was_limit(load_cores: float, server_cores: float = 0.0) -> bool:
    """Whether the load was the limit: the cores of its busiest process, and of the server, where they are
    known."""
    return load_cores >= LOAD_FULL_CORES and server_cores < SERVER_FULL_CORES


def of_late(late_p99_ms: float, late_max_ms: float = LATE_MAX_MS) -> list[str]:
    """What of the sends speaks against the run: how late the latest of a hundred left."""
    if late_p99_ms <= late_max_ms:
        return []
    return [f"1 % of the publishes left more than {late_p99_ms:.1f} ms late"]
