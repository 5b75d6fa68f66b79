"""The rules that `tests/server/promlint.py` checks find what they are for."""

import pytest

from tests.server.promlint import faults

GOOD = """\
# HELP a_total Things.
# TYPE a_total counter
a_total{code="x"} 1.0
a_total{code="y"} 2.0
# HELP wait_seconds How long.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="+Inf"} 1.0
wait_seconds_count 1.0
wait_seconds_sum 1.0
"""


def test_what_promtool_takes_has_no_fault():
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("# TYPE a gauge\na 1.0", "a has no help"),
        ("# HELP a \n# TYPE a gauge\na 1.0", "a has no help"),
        ("# HELP a A.\n# TYPE a counter\na 1.0", "a is a counter without _total"),
        ("# HELP a_total A.\n# TYPE a_total gauge\na_total 1.0", "a_total ends in _total"),
        ("# HELP a_gauge A.\n# TYPE a_gauge gauge\na_gauge 1.0", "a_gauge has its type"),
        ("# HELP aB A.\n# TYPE aB gauge\naB 1.0", "aB is not in snake_case"),
        ("# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1.0", "a_ms has a unit"),
        ("# HELP a_count A.\n# TYPE a_count gauge\na_count 1.0", "a_count ends as a part"),
        ('# HELP a A.\n# TYPE a gauge\na{le="1"} 1.0', "a has the label le"),
        ('# HELP a A.\n# TYPE a gauge\na{bC="1"} 1.0', "a has the label bC"),
        ("a 1.0", "a has no type"),
        ("# HELP a A.\n# TYPE a gauge\na 1.0\na 1.0", "a{None} is there twice"),
        ("# HELP a A.\n# HELP a A.\n# TYPE a gauge\na 1.0", "a has two lines of HELP"),
        ("nonsense", "not a line"),
    ],
)
def test_each_rule_is_checked(text, fault):
    assert [each for each in faults(text) if each.startswith(fault)]
