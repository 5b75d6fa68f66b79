"""All faults that are planted, to see whether the model finds them."""

from __future__ import annotations

from tests.model.plants_around import PLANTS_AROUND
from tests.model.plants_of_deliveries import PLANTS_OF_DELIVERIES
from tests.model.plants_of_nodes import PLANTS_OF_NODES

PLANTS = (*PLANTS_OF_DELIVERIES, *PLANTS_AROUND, *PLANTS_OF_NODES)
