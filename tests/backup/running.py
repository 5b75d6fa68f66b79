"""A backup in the middle of work, a copy of it elsewhere, and whether it is what it has to be."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from tests.backup.checking import Copy
from tests.backup.load import CHANGING, WHOLE, Known, Load
from tests.backup.stores import Store
from tests.support.access import Guarded, Signed, guarded_server
from tests.support.server import running_server

# Kept where the database and its backups are not; the copy has it, too.
PEPPER = "a-pepper-that-is-in-no-backup"
SETTINGS = {"ENABLE_AUTH": "true", "CONDUIT_KEY_PEPPER": PEPPER}
NOTICED = "taken for a restored copy"


class World:
    """A server with two tenants: one in which nothing is removed, and one in which much is, all the time."""

    def __init__(self, guarded: Guarded, store: Store) -> None:
        self._store = store
        self._loads = [
            Load(guarded.create_tenant("acme"), WHOLE),
            Load(guarded.create_tenant("globex"), CHANGING),
        ]
        self._revoked = guarded.create_key("acme")
        guarded.acting("acme").delete(f"/api/keys/{self._revoked['id']}")

    def back_up_and_restore(self) -> dict[str, float]:
        """Once; gives how much it was, and how long the backup took. AssertionError if the copy is wrong."""
        with contextlib.ExitStack() as working:
            for load in self._loads:
                working.enter_context(load.running())
            for load in self._loads:
                load.advance()
            before = [load.known.now() for load in self._loads]
            began = time.monotonic()
            self._store.back_up()
            took_s = time.monotonic() - began
            for load in self._loads:
                load.advance()
        self._check(before)
        return {
            "acked_before": sum(len(known.acked) for known in before),
            "acked": sum(len(load.known.acked) for load in self._loads),
            "backup_s": round(took_s, 2),
        }

    def _check(self, before: Sequence[Known]) -> None:
        url = self._store.restore_elsewhere()
        with running_server(DATABASE_URL=url, **SETTINGS) as server:
            server.logged(NOTICED)
            for load, known in zip(self._loads, before, strict=True):
                Copy(Signed(server.url, load.api.key), known, load.known).check()
            revoked = Signed(server.url, self._revoked["key"])
            assert revoked.get("/api/whoami").status == 401, "a key that was revoked is good again"


@contextlib.contextmanager
def world(store: Store) -> Iterator[World]:
    """One on this store, which is empty."""
    settings = {**SETTINGS, "CONDUIT_RETENTION_INTERVAL_S": "0.1"}
    with guarded_server(DATABASE_URL=store.url, **settings) as guarded:
        yield World(guarded, store)
