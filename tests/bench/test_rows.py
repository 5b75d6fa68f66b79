import pytest

from bench import rows
from bench.plots import Span
from tests.bench.made import line, lines


def test_questions_are_in_the_order_of_the_command_and_rows_as_they_ran():
    found = rows.by_question([line(question="fanout"), *lines()])
    assert list(found) == ["publish", "fanout"]
    assert [row.name for row in found["publish"]] == [
        "conduit · memory",
        "redis · memory",
        "conduit · sqlite",
    ]


def test_an_unknown_question_is_an_error():
    with pytest.raises(rows.ReportError, match="no such question: guess"):
        rows.by_question([line(question="guess")])


def test_a_row_knows_smallest_median_and_largest_of_the_rounds_that_count():
    row, without, once = rows.by_question(lines())["publish"]
    assert row.spans == {
        "messages_per_s": Span(100, 200, 300),
        "p50_ms": Span(1.0, 1.5, 2.0),
        "p99_ms": Span(4.0, 4.5, 5.0),
    }
    assert (len(row.valid), len(row.lines), row.reasons) == (2, 3, ["late & lost"])
    assert (without.spans, without.valid) == ({}, [])
    assert without.reasons == ["the load was busy", "7 <lost>"]
    assert once.spans["messages_per_s"] == Span(12345.6, 12345.6, 12345.6)


def test_cores_are_the_medians_of_the_rounds_that_count():
    given = [line(server_cores=cores) for cores in (0.1, 0.9, 0.3)]
    given += [line(None, "1 lost", server_cores=1.0)] * 5
    (row,) = rows.by_question(given)["publish"]
    assert (row.cores("server_cores"), row.cores("load_cores")) == ("0.30", "0.25")
    (row,) = rows.by_question(given[3:])["publish"]
    assert row.cores("server_cores") == rows.NOTHING


def test_cores_that_were_not_measured_are_not_zero():
    (row,) = rows.by_question([line(server_cores=0.0, load_cores=0.1)])["publish"]
    assert (row.cores("server_cores"), row.cores("load_cores")) == (rows.NOTHING, "0.10")


def test_a_row_is_called_by_no_more_of_its_work_than_tells_it_from_others():
    works = [{"rate": 100, "bytes": 7}, {"rate": 2000, "bytes": 8}]
    given = [line(work={**work, "acks": acks, "n": 1}) for work in works for acks in ("no", "yes")]
    found = rows.by_question(given)["publish"]
    assert [row.name for row in found] == [
        "conduit · memory · rate: 100; acks: no",
        "conduit · memory · rate: 100; acks: yes",
        "conduit · memory · rate: 2,000; acks: no",
        "conduit · memory · rate: 2,000; acks: yes",
    ]
    assert found[2].apart == "rate: 2,000; bytes: 8; acks: no"


def test_work_that_system_and_store_tell_apart_is_apart_but_not_in_the_name():
    given = [line(work={"a": 1}), line(work={"a": 2, "b": 3}, case=("redis", "memory"))]
    found = rows.by_question(given)["publish"]
    assert [(row.name, row.apart) for row in found] == [
        ("conduit · memory", "a: 1"),
        ("redis · memory", "a: 2; b: 3"),
    ]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({}, True),
        ({"system": "conduit"}, True),
        ({"system": "redis"}, False),
        ({"system": "conduit", "store": "sqlite"}, False),
        ({"store": "memory", "work": {"clients": 64}}, True),
        ({"work": {"clients": 65}}, False),
        ({"work": {"more": 1}}, False),
    ],
)
def test_a_text_is_about_the_rows_that_have_all_it_names(limit, expected):
    (row,) = rows.by_question([line()])["publish"]
    assert row.is_like({"question": "publish", "text": "…", **limit}) is expected


@pytest.mark.parametrize(
    ("name", "heading", "titled"),
    [
        ("publishes_per_s", ("publishes", "per s"), "publishes per s"),
        ("messages_per_s", ("messages", "per s"), "messages per s"),
        ("server_us_per_publish", ("server", "µs per publish"), "server, µs per publish"),
        ("idle_us_per_s", ("idle", "µs per s"), "idle, µs per s"),
        ("kib_per_subscriber", ("", "KiB per subscriber"), "KiB per subscriber"),
        ("p50_ms", ("p50", "ms"), "p50, ms"),
        ("live_p99_9_ms", ("live p99.9", "ms"), "live p99.9, ms"),
        ("ready_s", ("ready", "s"), "ready, s"),
        ("cost_percent", ("cost", "%"), "cost, %"),
        ("redelivered_messages", ("redelivered", "messages"), "redelivered, messages"),
        ("score", ("score", ""), "score"),
    ],
)
def test_a_figures_name_becomes_words_and_a_unit(name, heading, titled):
    assert (rows.heading(name), rows.titled(name)) == (heading, titled)
