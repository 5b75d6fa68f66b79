import msgspec
from hypothesis import given
from hypothesis import strategies as st

from conduit.broker.history import Sample
from conduit.broker.stats import Gauges, Rates
from conduit.cluster.figures import (
    Figures,
    Point,
    TopicFigures,
    apart_max_ms,
    joined,
    points,
    topics_together,
    total,
)

STEP_MS = 5_000
APART_MAX_MS = apart_max_ms(5)
NOTHING = Rates(0.0, 0.0, 0.0, 0.0, 0.0)


def rates(value: float) -> Rates:
    return Rates(*[value * n for n in range(1, 6)])


def figures(n: int, *, topics: int = 7) -> Figures:
    return Figures(
        rates=rates(n),
        gauges=Gauges(topics, n, 10 * n),
        connection_count=n,
        uptime_s=100.0 * n,
        published_count=2 * n,
        delivered_count=3 * n,
        acked_count=4 * n,
        redelivered_count=5 * n,
        dead_lettered_count=6 * n,
    )


def point(age_ms: int, value: int = 1, *, topics: int = 7) -> Point:
    return Point(age_ms, rates(value), Gauges(topics, value, 10 * value))


def history(count: int, late_ms: int = 0, value: int = 1) -> list[Point]:
    """The newest is `late_ms` old."""
    return [point(late_ms + STEP_MS * n, value) for n in reversed(range(count))]


def test_one_nodes_figures_are_its_own():
    assert total([figures(3)]) == figures(3)


def test_all_is_added_up_but_topics_and_the_time():
    found = total([figures(1, topics=7), figures(2, topics=8), figures(4, topics=9)])
    assert found.rates == rates(7)
    assert found.gauges == Gauges(7, 7, 70)
    assert (found.connection_count, found.published_count) == (7, 14)
    assert (found.delivered_count, found.acked_count) == (21, 28)
    assert (found.redelivered_count, found.dead_lettered_count) == (35, 42)
    assert found.uptime_s == 400.0


def test_points_go_by_their_age_whatever_the_clock_says():
    samples = [Sample(1_000, NOTHING, Gauges(1, 2, 3)), Sample(6_000, NOTHING, Gauges(1, 2, 3))]
    assert [each.age_ms for each in points(samples, 7_500)] == [6_500, 1_500]
    # The clock was set back.
    assert [each.age_ms for each in points(samples, 0)] == [0, 0]


def test_one_history_is_as_it_was():
    own = history(5)
    assert [*joined([own], 3)] == own[-3:]
    assert [*joined([[]], 3)] == []


def test_points_of_about_one_time_are_added_up():
    found = [*joined([history(4), history(4, 2_400, value=2)], 720)]
    assert [each.node_count for each in found] == [2] * 4
    assert [each.gauges.subscriber_count for each in found] == [3] * 4
    assert {each.gauges.topic_count for each in found} == {7}
    assert found[0].rates == rates(3)


def test_each_point_says_how_many_nodes_were_there():
    found = [*joined([history(2), history(5, value=2)], 720)]
    assert [each.node_count for each in found] == [1, 1, 1, 2, 2]
    assert [each.gauges.backlog_count for each in found] == [20, 20, 20, 30, 30]
    assert [each.age_ms for each in found] == [20_000, 15_000, 10_000, 5_000, 0]


def test_a_node_that_stood_still_is_missing_where_it_did():
    other = [each for each in history(6, value=2) if each.age_ms not in (10_000, 15_000)]
    found = [*joined([history(6), other], 720)]
    assert [each.node_count for each in found] == [2, 2, 1, 1, 2, 2]


def timed(*counts: int, age_ms: int = 0) -> Point:
    return Point(age_ms, NOTHING, Gauges(1, 2, 3), publish_counts=counts)


def test_what_is_timed_is_added_up_by_its_bounds():
    (found,) = joined([[timed(1, 2, 3)], [timed(4, 0, 1)]], 720)
    assert (found.publish_counts, found.delivery_counts) == ([5, 2, 4], ())


def test_counts_by_other_bounds_are_not_added_up_and_none_are_no_counts():
    (found,) = joined([[timed(1, 2, 3)], [timed(4, 0)]], 720)
    assert found.publish_counts == ()
    (found,) = joined([[timed(1, 2, 3)], [timed()]], 720)
    assert found.publish_counts == [1, 2, 3]


def test_points_of_a_second_belong_together_within_a_second_and_a_half():
    def seconds(late_ms: int) -> list[Point]:
        return [timed(age_ms=late_ms + 1_000 * n) for n in reversed(range(9))]

    assert [each.node_count for each in joined([seconds(0), seconds(480)], 9, 1)] == [2] * 9
    assert [each.node_count for each in joined([seconds(0), seconds(3_000)], 9, 1)][-1] == 1


ages = st.lists(st.integers(0, 100_000), max_size=30, unique=True).map(
    lambda found: [point(age) for age in sorted(found, reverse=True)]
)


@given(st.lists(ages, min_size=1, max_size=4), st.integers(1, 40))
def test_no_point_has_more_than_all_nodes_or_less_than_one(every, limit):
    found = [*joined(every, limit)]
    longest = max(every, key=len)
    assert [each.age_ms for each in found] == [each.age_ms for each in longest[-limit:]]
    for each in found:
        near = sum(
            any(abs(other.age_ms - each.age_ms) <= APART_MAX_MS for other in history)
            for history in every
        )
        assert each.node_count == near == each.gauges.subscriber_count


def of_topic(name: str, published: int, delivered: int, **other: bool) -> TopicFigures:
    counts = [0] * 29
    figures = TopicFigures("t", name, [*counts, published], [*counts, delivered], 2, is_whole=True)
    return msgspec.structs.replace(figures, **other)


def test_what_was_published_to_a_topic_is_no_sum_and_what_was_delivered_is():
    one = [of_topic("a", 5, 6), of_topic("b", 1, 1)]
    other = [of_topic("a", 4, 10, is_whole=False), of_topic("c", 0, 3)]
    found = {each.name: each for each in topics_together([one, other])}
    assert (found["a"].lately, found["a"].backlog_count, found["a"].is_whole) == ((5, 16), 4, False)
    assert (found["b"].lately, found["c"].lately) == ((1, 1), (0, 3))


def test_what_one_node_has_no_room_for_is_said_by_another_and_not_known_whole():
    none = msgspec.structs.replace(of_topic("a", 0, 0), is_known=False)
    [found] = topics_together([[none], [of_topic("a", 5, 6)]])
    assert (found.lately, found.is_known) == ((5, 6), False)
