"""The planted faults still fit the sources: else nobody knows whether the model finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.plants import PLANTS

SOURCES = Path(__file__).parents[2] / "src" / "conduit"


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_every_place_that_a_fault_changes_is_there_once(plant):
    for file in {change.file for change in plant.changes}:
        text = (SOURCES / file).read_text()
        for change in plant.changes:
            if change.file == file:
                text = change.applied(text)
        compile(text, file, "exec")
