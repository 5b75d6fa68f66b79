"""Networks of their own for the parts of a cluster, on one bridge; two of them can be cut off from each
other.

All of it lives inside a network namespace of the calling process (`isolated`): nothing of the machine itself
is changed. Each network is held by a process that reads from a pipe of ours: when we end, however we end, it
reads the end of it, and the kernel removes the network.

To cut, each side is told a hardware address of the other that nobody has: what is sent is dropped on its way
and no error comes back, as with a switch that fails. That needs no packet filter in the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# Below it nothing of the machine's own network can be seen.
HUB = "10.77.0.1"
PREFIX = "10.77.0"
BRIDGE = "chaos0"
NOBODY = "02:00:00:00:de:ad"
CLONE_NEWNET = 0x40000000
# Says to the process inside that it is inside.
INSIDE = "--inside"
# All ends with the first process. As another user than root: mapped to himself, with the rights inside only.
_UNSHARE = ("unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child")
_UNSHARE_USER = (*_UNSHARE, "--user", "--map-current-user", "--keep-caps")
_MADE_WITHIN_S = 10.0

_libc = ctypes.CDLL(None, use_errno=True)


def isolated() -> tuple[list[str], str]:
    """What to put before a command to run it in a namespace of its own; or nothing, and why that cannot
    be."""
    missing = [name for name in ("unshare", "ip") if not shutil.which(name, path=_PATH)]
    if missing:
        return [], f"{' and '.join(missing)} of Debian's util-linux and iproute2 are missing"
    prefix = _UNSHARE if os.geteuid() == 0 else _UNSHARE_USER
    probe = "ip link add chaos0 type bridge && ip link add chaos1 type veth peer name chaos2"
    tried = subprocess.run(
        [*prefix, "sh", "-c", probe], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        return [], f"network namespaces are not permitted here: {tried.stderr.strip()[-200:]}"
    return list(prefix), ""


_PATH = f"{os.defpath}:/usr/sbin:/sbin"


def _ip(*args: object) -> None:
    command = ["ip", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": _PATH})
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


class Network:
    """One network with one address. `entered` before whatever is to be started in it."""

    def __init__(self, number: int) -> None:
        self.address = f"{PREFIX}.{10 + number}"
        self._device = f"chaos{number}b"
        self._bogus: set[str] = set()
        self._holder = subprocess.Popen(
            [
                "unshare",
                "--net",
                sys.executable,
                "-c",
                "import sys; print(flush=True); sys.stdin.read()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"\n", "a network namespace could not be made"
        self._place = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY)
        outside = f"chaos{number}a"
        _ip("link", "add", outside, "type", "veth", "peer", "name", self._device)
        _ip("link", "set", outside, "master", BRIDGE, "up")
        _ip("link", "set", self._device, "netns", self._holder.pid)
        with self.entered():
            _ip("link", "set", "lo", "up")
            _ip("address", "add", f"{self.address}/24", "dev", self._device)
            _ip("link", "set", self._device, "up")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in it, and so are the sockets and processes that it makes."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _set(self._place)
            yield
        finally:
            _set(before)
            os.close(before)

    def drop(self, addresses: Sequence[str]) -> None:
        """Whatever is sent from here to these is lost; to those that were told before, it is not any more."""
        with self.entered():
            for gone in self._bogus - set(addresses):
                _ip("neighbour", "del", gone, "dev", self._device)
            for each in set(addresses) - self._bogus:
                _ip(
                    "neighbour",
                    "replace",
                    each,
                    "lladdr",
                    NOBODY,
                    "nud",
                    "permanent",
                    "dev",
                    self._device,
                )
        self._bogus = set(addresses)

    def remove(self) -> None:
        """Idempotent."""
        if self._holder.stdin is not None and not self._holder.stdin.closed:
            self._holder.stdin.close()
            self._holder.wait(_MADE_WITHIN_S)
            os.close(self._place)


class Networks:
    """All of them, by name, and who is cut off from whom."""

    def __init__(self, names: Sequence[str]) -> None:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("address", "add", f"{HUB}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        self._of = {name: Network(number) for number, name in enumerate(names, 1)}
        self._cut: set[frozenset[str]] = set()

    def __getitem__(self, name: str) -> Network:
        return self._of[name]

    def cut(self, one: str, other: str) -> None:
        """Nothing comes from one of them to the other."""
        self._cut.add(frozenset((one, other)))
        self._apply()

    def mend(self) -> None:
        """Everybody reaches everybody."""
        self._cut.clear()
        self._apply()

    def _apply(self) -> None:
        for name, network in self._of.items():
            others = [other for pair in self._cut if name in pair for other in pair - {name}]
            network.drop([self._of[other].address for other in others])

    def remove(self) -> None:
        """Idempotent."""
        for network in self._of.values():
            network.remove()


def _set(place: int) -> None:
    if _libc.setns(place, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def system_call(pid: int) -> int | None:
    """The number of the call into the kernel in which a stopped process was; None if it was in none, or that
    cannot be known."""
    try:
        word = Path(f"/proc/{pid}/syscall").read_text().split()[0]
        return int(word)
    except (OSError, ValueError):
        return None


def is_stopped(pid: int) -> bool:
    """Whether it is stopped by a signal by now."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until_stopped(pid: int) -> None:
    """Soon after SIGSTOP. Raises TimeoutError."""
    deadline = time.monotonic() + _MADE_WITHIN_S
    while not is_stopped(pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} does not stop")
        time.sleep(0.0005)
