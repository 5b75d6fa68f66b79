"""The planted faults still fit the sources: else nobody knows whether the harness finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.plants import CLUSTER_PLANTS

SOURCES = Path(__file__).parents[2] / "src" / "conduit"


@pytest.mark.parametrize("each", CLUSTER_PLANTS, ids=lambda each: each.plant.name)
def test_every_place_that_a_fault_changes_is_there_once(each):
    for change in each.plant.changes:
        path = SOURCES / change.file
        compile(change.applied(path.read_text()), change.file, "exec")
