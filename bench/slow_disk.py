"""A disk whose syncs take as long as one says: a library that a process under test is started with."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.systems import tool

_SOURCE = Path(__file__).with_name("slow_sync.c")


class SlowDisk:
    """`env` is for the process; its syncs take longer from `slow_down` on."""

    def __init__(self, directory: Path) -> None:
        library = directory / "slow_sync.so"
        command = [tool("cc", "gcc"), "-O2", "-shared", "-fPIC", "-o", str(library), str(_SOURCE)]
        subprocess.run([*command, "-ldl"], check=True)
        self._file = directory / "delay_us"
        self.env = {"LD_PRELOAD": str(library), "SLOW_SYNC_FILE": str(self._file)}
        self.slow_down(0.0)

    def slow_down(self, delay_s: float) -> None:
        """Let each sync take so much longer."""
        # In one step: whoever reads it sees the old or the new one.
        new = self._file.with_suffix(".new")
        new.write_text(f"{delay_s * 1e6:.0f}")
        new.rename(self._file)


@contextlib.contextmanager
def slow_disk() -> Iterator[SlowDisk]:
    """One that does nothing yet, in a folder that other users may read: PostgreSQL runs as one of them."""
    with tempfile.TemporaryDirectory(prefix="conduit-disk-") as path:
        Path(path).chmod(0o755)
        yield SlowDisk(Path(path))
