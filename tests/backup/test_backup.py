"""A backup taken under load loses nothing that was acknowledged before it began, and says what it is."""

import pytest

from tests.backup.running import world
from tests.backup.stores import Postgres, Sqlite

pytestmark = [pytest.mark.e2e, pytest.mark.process, pytest.mark.slow]


def test_sqlite_is_backed_up_and_restored_elsewhere_by_the_page(tmp_path):
    with world(Sqlite(tmp_path)) as made:
        made.back_up_and_restore()


def test_postgresql_is_backed_up_and_restored_elsewhere_by_the_page(tmp_path, cluster):
    with world(Postgres(tmp_path, cluster, cluster)) as made:
        made.back_up_and_restore()
