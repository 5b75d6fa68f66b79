"""What figures depend on beside the work: this machine, the server, and what its store promises."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conduit import __version__
from conduit.cli.output import counted, size_text

# Of what `/health` says of a store, that on which durability rests comes behind its kind.
_SIZES = ("size_bytes", "free_bytes", "wal_bytes", "disk_free_bytes")


def conditions(health: dict[str, Any], where: str) -> dict[str, Any]:
    """Of this moment. A key without the scope `admin` is not told what the server runs on."""
    store, cluster = (_object(health.get(name)) for name in ("store", "cluster"))
    told = {name: value for name, value in store.items() if name not in _SIZES}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "client_version": __version__,
        "server_version": health.get("version"),
        "server": where,
        "nodes": cluster.get("nodes", 1) if "version" in health else None,
        "store": told or None,
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _object(value: object) -> dict[str, Any]:
    """As it is told. A server of another version may tell something else, which is nothing here."""
    return value if isinstance(value, dict) else {}


def lines(said: dict[str, Any], work: dict[str, Any]) -> list[str]:
    """The same for people: versions and server, machine, work."""
    own, version = said["client_version"], said["server_version"]
    versions = f"conduit {own}"
    if version is None:
        versions += ", of the server not told to this key"
    elif version != own:
        versions += f", the server {version}"
    server = [versions, said["server"]]
    if said["nodes"] is not None:
        server.append(counted(said["nodes"], "node"))
    server.append("store not told to this key" if said["store"] is None else _store(said["store"]))
    machine = [str(said["cpu"]), counted(said["cores"], "core")]
    machine.append(f"{platform.system()} {said['kernel']}")
    machine.append(f"load {said['load_average']:.1f} before the run")
    return [" · ".join(server), " · ".join(machine), " · ".join(_work(work))]


def _store(store: dict[str, Any]) -> str:
    """Its kind, whether it is durable, and the settings behind that."""
    rest = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in store.items()
        if name
        in ("journal_mode", "synchronous", "fsync", "synchronous_commit", "full_page_writes")
    ]
    durable = "durable" if store.get("durable") else "not durable"
    return ", ".join([f"{store.get('kind')} {durable}", *rest])


def _work(work: dict[str, Any]) -> list[str]:
    if "rate" not in work:
        return [
            f"catch-up from {work['start']}",
            counted(work["subscribers"], "subscriber"),
            f"acks {work['acks']}",
        ]
    rate = "closed loop, as fast as answers come"
    if work["rate"] is not None:
        rate = f"open loop {work['rate']:,g}/s"
    said = [rate, size_text(work["size_bytes"]), counted(work["publishers"], "publisher")]
    if work["subscribers"]:
        said += [counted(work["subscribers"], "subscriber"), f"acks {work['acks']}"]
    return said


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        # Not Linux.
        return platform.processor() or platform.machine()
    return platform.machine()
