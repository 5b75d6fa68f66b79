"""Where a log is, and the commands of docs/backup.md for it: taken from the page, run by a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Protocol

from tests.support.page import DOCS, replaced, typed
from tests.support.postgres import Cluster, binary
from tests.support.server import clean_environment

PAGE = DOCS / "backup.md"
WITHIN_S = 120.0
_numbers = count(1)


class Store(Protocol):
    """A log of a server, and its backups."""

    url: str

    def back_up(self) -> None:
        """By the page, while the server runs."""

    def restore_elsewhere(self) -> str:
        """The last backup, by the page; the `DATABASE_URL` of the copy."""


class Sqlite:
    """A file; each copy is restored in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/conduit.db"
        self._folder = folder
        self._backup = folder

    def back_up(self) -> None:
        commands, _ = _commands("SQLite")
        self._backup = self._folder / f"backup-{next(_numbers)}.db"
        places = {
            "sqlite:////var/lib/conduit/conduit.db": self.url,
            "/backups/conduit-2026-11-28.db": str(self._backup),
        }
        _run(replaced(commands, places), self._folder)

    def restore_elsewhere(self) -> str:
        _, commands = _commands("SQLite")
        folder = self._folder / f"restored-{next(_numbers)}"
        folder.mkdir()
        places = {
            "/var/lib/conduit": str(folder),
            "/backups/conduit-2026-11-28.db": str(self._backup),
        }
        *lines, last = replaced(commands, places).splitlines()
        setting, *serve = shlex.split(last)
        assert serve == ["conduit", "serve"], "the page ends with the start of the server"
        _run("\n".join(lines), folder)
        return setting.removeprefix("DATABASE_URL=")


class Postgres:
    """A database of `cluster`; each copy is restored into another one of `elsewhere`."""

    def __init__(self, folder: Path, cluster: Cluster, elsewhere: Cluster) -> None:
        self._name = f"backed_up_{next(_numbers)}"
        self.url = cluster.create_database(self._name)
        self._folder = folder
        self._cluster, self._elsewhere = cluster, elsewhere

    def back_up(self) -> None:
        commands, _ = _commands("PostgreSQL")
        self._run(commands, self._cluster, self._name, {})

    def restore_elsewhere(self) -> str:
        _, commands = _commands("PostgreSQL")
        name = f"restored_{next(_numbers)}"
        url = self._elsewhere.create_database(name)
        self._run(commands, self._elsewhere, name, {" -d conduit ": f" -d {name} "})
        return url

    def _run(self, commands: str, cluster: Cluster, name: str, places: dict[str, str]) -> None:
        places = {"db.internal": "127.0.0.1", "PGDATABASE=conduit": f"PGDATABASE={name}", **places}
        _run(replaced(commands, places), self._folder, PGPORT=str(cluster.port))


def _commands(heading: str) -> tuple[str, str]:
    """To back up, and to restore."""
    back_up, restore = typed(PAGE, heading)
    return back_up.commands, restore.commands


def _run(commands: str, folder: Path, **settings: str) -> None:
    env = clean_environment(**settings)
    programs = (Path(sys.executable).parent, Path(binary("pg_dump")).parent, env["PATH"])
    env["PATH"] = os.pathsep.join(map(str, programs))
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
