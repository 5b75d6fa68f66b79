"""The threat model speaks of what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| [STRIDE] \|", line)]
# In a row with this mark the part behind it is not there yet.
COMING = "◇"
NAMED = re.compile(r"`([\w./-]+/[\w.-]+|[\w-]+\.py)`")


def named(row: str) -> list[str]:
    """The files that a row names, up to what is still to come in each column."""
    columns = [column.partition(COMING)[0] for column in row.split("|")]
    return NAMED.findall("|".join(columns))


def test_each_threat_has_all_its_columns():
    assert len(ROWS) > 50
    assert [row for row in ROWS if row.count("|") != 7] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[2].strip()[:60])
def test_what_a_row_names_exists(row):
    paths = named(row)
    assert paths, "says nowhere where it is"
    missing = [
        path
        for path in paths
        if not path.startswith("/")
        and not any((base / path).exists() for base in (ROOT, ROOT / "src" / "conduit"))
    ]
    assert missing == []


def test_every_row_says_what_shows_it_or_what_remains():
    for row in ROWS:
        *_, shown, remains, _ = row.split("|")
        assert "tests/" in shown or COMING in shown or len(remains.strip()) > 10, row


def test_each_part_has_rows():
    parts = re.findall(r"^## (.+)", TEXT, re.MULTILINE)
    for part in ("HTTP", "WebSocket", "Browser pages", "PostgreSQL", "SQLite files, and backups"):
        assert part in parts
