"""What `hatchling` asks before it builds: a wheel or an sdist without the dashboard's pages is not made.

The pages are not in git, and come by `make dashboard`. An editable installation, of a checkout, goes without:
there the server says how to build them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src", "conduit", "server", "dashboard", "dist", "index.html")
EDITABLE = "editable"


class MissingPagesError(Exception):
    """There are no pages; the text says how to have them."""


class PagesHook(BuildHookInterface[Any]):
    """Refuses what would have no pages."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises MissingPagesError. `version`: `editable`, or of what is given to others."""
        del build_data
        if version != EDITABLE and not Path(self.root, PAGE).is_file():
            raise MissingPagesError(
                f"{PAGE} is missing, and with it the dashboard: run `make dashboard` first"
            )
