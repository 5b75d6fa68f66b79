"""docs/metrics.md is made from what the server registers."""

from __future__ import annotations

import pytest

from conduit.server.metrics import tables
from tools.reference.metrics import BEGIN, END, PAGE, renewed


def test_the_page_is_current():
    page = PAGE.read_text()
    assert page == renewed(page), ".venv/bin/python -m tools.reference.metrics, and commit the page"


def test_every_metric_has_one_row_with_type_unit_and_labels():
    page = PAGE.read_text()
    for table in tables():
        for measure in table.measures:
            kind = "gauge" if measure.kind == "info" else measure.kind
            labels = ", ".join(f"`{label}`" for label in measure.labels)
            row = f"| `{measure.full_name}` | {kind} | {measure.unit} | {labels} |"
            assert page.count(f"\n{row}") == 1, row


def test_units_are_base_units():
    units = {measure.full_name: measure.unit for table in tables() for measure in table.measures}
    assert units["conduit_link_sent_bytes_total"] == "bytes"
    assert units["conduit_subscription_oldest_unsettled_age_seconds"] == "seconds"
    assert units["conduit_ready"] == "1 or 0"
    assert units["conduit_published_total"] == "number"


def test_what_stands_around_the_tables_stays_and_a_page_without_marks_is_refused():
    made = renewed(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert made.startswith(f"before\n{BEGIN}\n\n### ")
    assert made.endswith(f"\n{END}\nafter\n")
    assert "old\n" not in made
    with pytest.raises(ValueError, match=r"metrics\.md needs a line"):
        renewed("before\n")
