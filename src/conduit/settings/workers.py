"""Several nodes on one machine: how many, and with which other settings that goes together."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from conduit import node_address, store_url
from conduit.names import is_node
from conduit.settings.types import Group

# More than the cores of most machines, and each has thirteen connections to the database.
WORKERS_MAX_COUNT = 64


class Workers(Group):
    """What `conduit serve --workers` sets. To be looked at when all that it goes together with was."""

    workers: int = Field(
        1,
        description="So many nodes on this machine, each a process, which share `PORT`: for its cores. Needs "
        "PostgreSQL and Linux.",
        ge=1,
        le=WORKERS_MAX_COUNT,
    )

    @field_validator("workers")
    @classmethod
    def _possible(cls, count: int, info: ValidationInfo) -> int:
        if count > 1 and (reasons := list(_reasons_against(count, info.data))):
            raise ValueError("; and ".join(reasons))
        return count


def _reasons_against(count: int, given: dict[str, Any]) -> list[str]:
    """Why there cannot be so many, with what to do. What is wrong by itself is not in `given`."""
    found = [
        _database(given),
        _system(),
        _names(count, given),
        _addresses(count, given),
        _operators(count, given),
    ]
    return [reason for reason in found if reason is not None]


def _database(given: dict[str, Any]) -> str | None:
    if "database_url" not in given:
        return None
    database = given["database_url"]
    if database is not None and database.get_secret_value().startswith(store_url.POSTGRES):
        return None
    here = "the log is in the memory of one process"
    if database is not None:
        here = "one process has the SQLite file"
    return (
        f"above 1 needs PostgreSQL, which processes can share, and {here}: set DATABASE_URL to "
        "postgresql://…, or leave CONDUIT_WORKERS (--workers) at 1"
    )


def _system() -> str | None:
    # SO_REUSEPORT of others exists too, and gives all connections to one socket.
    if sys.platform == "linux":
        return None
    return (
        "above 1 needs Linux, which spreads connections over processes that share a port: run so many servers"
        " with a PORT each"
    )


def _names(count: int, given: dict[str, Any]) -> str | None:
    name = given.get("node_id")
    if name is None or is_node(f"{name}-{count}"):
        return None
    return f"puts -1 to -{count} behind NODE_ID, which is too long for that: choose a shorter one"


def _addresses(count: int, given: dict[str, Any]) -> str | None:
    address = given.get("node_addr")
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    if given.get("internal_secret") is None and node_address.loopback_of(host) is None:
        return (
            "with NODE_ADDR needs INTERNAL_SECRET, which nodes on other machines have to have as well: set it"
            " to a long random text on all of them, or unset NODE_ADDR if there are no others"
        )
    return _overlap("NODE_ADDR", int(port), count, given)


def _operators(count: int, given: dict[str, Any]) -> str | None:
    admin = given.get("admin_port")
    if not admin:
        return None
    first = int((given.get("node_addr") or ":0").rpartition(":")[2])
    if first and abs(first - admin) < count:
        return (
            f"gives each worker a port from CONDUIT_ADMIN_PORT ({admin}) on and one from that of NODE_ADDR "
            f"({first}) on, and these overlap: let them be {count} apart"
        )
    return _overlap("CONDUIT_ADMIN_PORT", admin, count, given)


def _overlap(name: str, first: int, count: int, given: dict[str, Any]) -> str | None:
    last = first + count - 1
    if last >= 1 << 16:
        return (
            f"gives each worker a port, from {first} ({name}) on, and there are none behind 65535"
        )
    if first <= given.get("port", 0) <= last:
        return (
            f"gives each worker a port of its own, {first} to {last} ({name}), and PORT, which they share, is"
            " one of these: choose another one"
        )
    return None
