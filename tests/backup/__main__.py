"""Back up under load and restore elsewhere, again and again.

    python -m tests.backup [--store sqlite postgres] [--times N]

Prints a JSON line for each: how much was acknowledged before the backup began and when its copy was compared,
and how long the backup took. The copy of PostgreSQL is in another cluster. Stops with an error at the first
copy that is wrong. `make backups` does it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.backup.running import world
from tests.backup.stores import Postgres, Sqlite, Store
from tests.support.postgres import Cluster

STORES = ("sqlite", "postgres")


def main() -> None:
    """So many of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.backup")
    parser.add_argument("--store", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--times", type=int, default=20)
    asked = parser.parse_args()
    for name in asked.store:
        with _store(name) as store, world(store) as made:
            for _ in range(asked.times):
                print(json.dumps({"store": name, **made.back_up_and_restore()}), flush=True)


@contextlib.contextmanager
def _store(name: str) -> Iterator[Store]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conduit-backup-")))
        if name == "sqlite":
            yield Sqlite(folder)
            return
        clusters = [Cluster(), Cluster()]
        for each in clusters:
            stack.callback(each.remove)
            each.start()
        yield Postgres(folder, *clusters)


if __name__ == "__main__":
    main()
