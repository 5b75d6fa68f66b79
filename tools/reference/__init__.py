"""`make reference`: pages and descriptions in `docs/reference`, made from what the program says of itself.

Tests compare them with what would be made now.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
