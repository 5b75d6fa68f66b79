"""Throw-away PostgreSQL clusters: real servers on free ports, in temporary directories."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, Signals
from typing import Any

from tests.support.server import free_port

# Owns the databases, and nothing more: as it should be where Conduit runs.
USER = "conduit"
ADMIN = "postgres"
DATABASE = "conduit"
START_TIMEOUT_S = 60.0
# What Debian's package creates; PostgreSQL refuses to run as root.
OTHER_USER = "postgres"
# What a postmaster says when children of the last one have not ended yet.
_STILL_THERE = "still in use"


def binary(name: str) -> str:
    """A program of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_version)
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"{name} is missing: on Debian, apt-get install postgresql"
    return path


def _version(path: Path) -> float:
    return float(path.parts[-3])


def of_all_tenants(url: str) -> str:
    """The URL for a session of the owner, such as pg_dump's, that sees the rows of all tenants."""
    return f"{url}?options=-cconduit.tenant%3D*"


class Cluster:
    """One PostgreSQL server with everything in a temporary directory; fsync is on.

    `data` is a folder for its data, if that is to be elsewhere; `initdb` has further arguments for making
    it; `env` is the environment of its processes, if that is not to be ours. As root everything runs as
    another user, because PostgreSQL refuses to run as root.
    """

    def __init__(
        self,
        folder: Path | None = None,
        options: Sequence[str] = (),
        data: Path | None = None,
        initdb: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="conduit-pg-", dir=folder))
        self._data = data or self._base / "data"
        self._options = [f"-c{option}" for option in options]
        self._env = env
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases: set[str] = set()
        self._has_user = False
        if os.geteuid() == 0:
            owner = pwd.getpwnam(OTHER_USER)
            os.chown(self._base, owner.pw_uid, owner.pw_gid)
        self._run(
            "initdb", "-D", self._data, "-U", ADMIN, "-A", "trust", "--no-instructions", *initdb
        )

    def url(self, database: str = DATABASE, user: str = USER) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the postmaster runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers.

        What a killed postmaster leaves behind goes by itself, and until then the next one ends at once.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._started(deadline):
            assert _STILL_THERE in self.log()[-2000:], self.log()[-2000:]
            time.sleep(0.02)
        if not self._has_user:
            self.sql(f"CREATE ROLE {USER} LOGIN", "postgres")
            self._has_user = True

    def _started(self, deadline: float) -> bool:
        """Whether it answers; False if it ended."""
        with (self._base / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    binary("postgres"),
                    *("-D", self._data, "-p", str(self.port), "-k", self._base),
                    "-clisten_addresses=127.0.0.1",
                    *self._options,
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._env,
                **as_other(),
            )
        while subprocess.run(self._ready(), capture_output=True, check=False).returncode:
            if not self.alive:
                return False
            assert time.monotonic() < deadline, self.log()[-2000:]
            time.sleep(0.02)
        return True

    def _ready(self) -> list[str]:
        return [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER]

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self._data

    def start_again(self, *options: str) -> None:
        """Start it with these options as well."""
        self._options += [f"-c{option}" for option in options]
        self.start()

    def create_database(self, name: str = DATABASE) -> str:
        """A new, empty database; its URL."""
        self.sql(f'CREATE DATABASE "{name}" OWNER {USER}', "postgres")
        self._databases.add(name)
        return self.url(name)

    def empty_database(self, name: str = DATABASE) -> str:
        """The database, created if need be, without what tests before have left in it; its URL.
        `kept` is of tests/storage/served.py."""
        if name not in self._databases:
            return self.create_database(name)
        self.sql(
            "SET client_min_messages = error; DROP SCHEMA IF EXISTS conduit, kept CASCADE", name
        )
        return self.url(name)

    def sql(self, statement: str, database: str = DATABASE, user: str = ADMIN) -> str:
        """The output of psql, as the superuser if no other is named: one row per line, columns separated
        by |."""
        command = [binary("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-d", self.url(database, user), "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def log(self) -> str:
        return (self._base / "log").read_text()

    def kill(self) -> None:
        """SIGKILL the postmaster; its children end by themselves, as after a crash."""
        self.signal(SIGKILL)
        assert self._process is not None
        self._process.wait()

    def signal(self, number: Signals) -> None:
        """To the postmaster alone."""
        os.kill(self.pid, number)

    def signal_all(self, number: Signals) -> None:
        """To the postmaster and every process of its. Each of them leads a session of its own."""
        self.signal(number)
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        for child in children.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), number)

    def stop(self) -> None:
        """Stop it fast. Idempotent."""
        if self.alive:
            self.signal_all(SIGCONT)
            self.signal(SIGINT)
            assert self._process is not None
            self._process.wait(START_TIMEOUT_S)

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        shutil.rmtree(self._base, ignore_errors=True)

    def _run(self, name: str, *args: object) -> None:
        command = [binary(name), *map(str, args)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, **as_other())
        assert done.returncode == 0, done.stderr


def as_other() -> dict[str, Any]:
    """Arguments of Popen that make the process another user's, if we are root."""
    if os.geteuid() != 0:
        return {}
    return {"user": OTHER_USER, "group": OTHER_USER, "extra_groups": [], "cwd": "/"}
