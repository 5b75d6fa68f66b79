"""Redis: whether it answers, which it is, and whether it would throw away what nodes say there."""

from __future__ import annotations

from collections.abc import Mapping

from conduit.cli.checks.finding import Finding, failure, ok, unseen, warning
from conduit.errors import RegistryUnavailable

OLDEST = (6, 2)
# Part of maxmemory from which it is called nearly full.
FULL_PART = 0.9
CHECK = "Redis"


async def check(url: str) -> list[Finding]:
    """Ask it. Writes nothing."""
    from redis.exceptions import ResponseError

    from conduit import redis_url
    from conduit.cluster.registry.connection import Connection
    from conduit.core.histogram import SHORT_S, Histogram

    connection, where = Connection(url, Histogram(SHORT_S)), redis_url.place(url)
    try:
        await connection.open()
        hello, memory = await connection.call(("HELLO",), ("INFO", "memory"))
    except RegistryUnavailable as error:
        return [failure(CHECK, f"{where}: {error.detail}", error.mend)]
    finally:
        await connection.close()
    said = {} if isinstance(hello, ResponseError) else pairs(hello)
    told = {} if isinstance(memory, ResponseError) else fields(memory)
    return judge(where, said, told)


def pairs(answer: object) -> dict[str, str]:
    """What HELLO says, which comes as a list."""
    if not isinstance(answer, list):
        return {}
    texts = [
        each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in answer
    ]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def fields(answer: object) -> dict[str, str]:
    """What INFO says: a line for each."""
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
    split = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in split}


def judge(where: str, said: Mapping[str, str], told: Mapping[str, str]) -> list[Finding]:
    """`said` is of HELLO, `told` of INFO; empty where it is not allowed."""
    version = said.get("version", "")
    found = [_version(where, version)]
    if said.get("role") in ("replica", "slave"):
        found.append(
            failure(
                CHECK,
                f"{where} is a replica, which takes no writes",
                "let REDIS_URL name the primary",
            )
        )
    if said.get("mode") == "cluster":
        found.append(
            failure(CHECK, f"{where} is a Redis Cluster", "use a Redis that is not in cluster mode")
        )
    policy = told.get("maxmemory_policy")
    limit, used = int(told.get("maxmemory", "0") or 0), int(told.get("used_memory", "0") or 0)
    if policy is None:
        found.append(
            unseen("Redis memory", "the user may not ask for INFO, which Conduit does without")
        )
    elif limit and used > FULL_PART * limit:
        found.append(
            warning(
                "Redis memory",
                f"{used / limit:.0%} of maxmemory is used",
                "raise maxmemory, or let nothing else fill it; Conduit needs some megabytes",
            )
        )
    elif limit and policy != "noeviction":
        found.append(
            warning(
                "Redis memory",
                f"maxmemory-policy is {policy}: when it is full, Redis removes what nodes say of "
                "themselves, and messages come later",
                "set maxmemory-policy noeviction, or give Conduit a Redis of its own",
            )
        )
    else:
        found.append(
            ok("Redis memory", f"maxmemory-policy {policy}{'' if limit else ', and no maxmemory'}")
        )
    return found


def _version(where: str, version: str) -> Finding:
    try:
        number = tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        number = ()
    if not number:
        return unseen(CHECK, f"{where} answers, and does not say its version, nor what it is")
    if number < OLDEST:
        return failure(CHECK, f"{where} is version {version}", "use Redis or Valkey 6.2 or later")
    return ok(CHECK, f"{where} answers: version {version}")
