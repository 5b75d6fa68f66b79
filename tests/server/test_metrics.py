import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conduit.broker.administer.standings import Standing
from conduit.broker.stats import PUBLISH_ERRORS
from conduit.server.closings import REASONS
from conduit.server.standing_metrics import Standings, table
from tests.server.promlint import faults
from tests.server.rest_kit import Api, running_api


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def scrape(api: Api):
    """Sample name → value, for samples of our own; and their labels."""
    answer = await api.send("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    samples = [
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name.startswith("conduit_")
    ]
    return {sample.name: sample.value for sample in samples}, samples


async def test_metrics_read_the_brokers_counters(api: Api):
    await api.topic("t")
    await api.die("t", subscription="s", count=3)
    values, _ = await scrape(api)
    assert values["conduit_published_total"] == 3
    assert values["conduit_delivered_total"] == 3
    assert values["conduit_rejected_total"] == 3
    assert values["conduit_dead_lettered_total"] == 3
    assert values["conduit_topics"] == 1
    assert values["conduit_ready"] == 1


async def test_the_backlog_is_there_although_nobody_is_attached(api: Api):
    await api.topic("t")
    await api.post("/api/subscriptions", {"name": "s", "topic": "t"}, 201)
    await api.bench.publish("t")
    values, _ = await scrape(api)
    assert (values["conduit_backlog"], values["conduit_subscribers"]) == (1, 0)


async def test_subscriptions_that_nobody_takes_from_are_counted_by_what_is_wrong(api: Api):
    await api.topic("t")
    for name in ("lonely", "alone", "resting"):
        await api.post("/api/subscriptions", {"name": name, "topic": "t"}, 201)
    await api.post("/api/subscriptions/resting/pause")
    await api.bench.publish("t")
    # The first scrape begins a look, and another one tells what was seen.
    await scrape(api)
    await api.context.broker.attention.looked()
    _, samples = await scrape(api)
    name = "conduit_troubled_subscriptions"
    counts = {one.labels["trouble"]: one.value for one in samples if one.name == name}
    assert counts == {"full": 0, "slow": 0, "absent": 2, "paused": 1}


async def test_sockets_that_have_not_signed_in_are_counted(api: Api):
    assert (await scrape(api))[0]["conduit_unsigned_websockets"] == 0
    api.context.unsigned.add(Waiting())
    assert (await scrape(api))[0]["conduit_unsigned_websockets"] == 1


class Waiting:
    address = "somewhere"

    def turn_away(self) -> None:
        """It is the only one."""


async def test_every_counter_of_the_broker_is_a_metric(api: Api):
    values, _ = await scrape(api)
    counters = {name for name in vars(api.context.broker.stats) if name.endswith("_count")}
    assert {f"conduit_{name.removesuffix('_count')}_total" for name in counters} <= values.keys()


async def test_only_the_largest_subscriptions_are_labels_and_no_topic_is():
    async with running_api(metrics_max_subscriptions=2) as api:
        for number in range(5):
            await api.topic(f"t{number}")
            await api.die(f"t{number}", subscription=f"s{number}")
            await api.bench.publish_many(f"t{number}", 1 + number)
        values, samples = await scrape(api)
    assert values["conduit_subscriptions"] == 5
    labels = {label for sample in samples for label in sample.labels}
    of_few_values = {"version", "store", "code", "le", "kind", "reason", "state", "trouble"}
    assert labels == of_few_values | {"subscription"}
    shown = {s.labels["subscription"] for s in samples if "subscription" in s.labels}
    assert shown == {"s4", "s3"}


async def test_a_subscription_has_its_lag_age_deliveries_and_dead_letters(api: Api):
    await api.topic("t")
    await api.die("t", subscription="s", count=3)
    await api.bench.publish_many("t", 2)
    _, samples = await scrape(api)
    of_one = {"subscription": "s"}
    values = {s.name: s.value for s in samples if s.labels == of_one}
    assert values == {
        "conduit_subscription_lag": 2,
        "conduit_subscription_oldest_unsettled_age_seconds": 0,
        "conduit_subscription_subscribers": 0,
        "conduit_subscription_unattended_lag": 2,
        "conduit_subscription_in_flight": 0,
        "conduit_subscription_pending_retries": 0,
        "conduit_subscription_dead_letters": 3,
    }


def lags(**options: bool) -> dict[tuple[str, ...], dict[str, float]]:
    """By its labels, what is told of a few subscriptions."""
    standings = [
        Standing("acme", "s", 5, 1, 2, 10.0, 4, subscriber_count=2),
        Standing("other", "s", 7, 2, 3, 20.0, None),
        Standing("other", "t", 1, 0, 0, None, 0, is_paused=True),
    ]
    told: dict[tuple[str, ...], dict[str, float]] = {}
    for family in table(**options).families(Standings(standings, **options)):
        for sample in family.samples:
            name = sample.name.removeprefix("conduit_subscription_")
            told.setdefault(tuple(sample.labels.values()), {})[name] = sample.value
    return told


def test_tenants_are_labels_where_that_is_asked_for_and_else_one_with_the_same_name():
    told = lags(with_tenants=True)
    assert told.keys() == {("acme", "s"), ("other", "s"), ("other", "t")}
    assert told["other", "s"]["lag"] == 7
    assert lags(with_tenants=False) == {
        ("s",): {
            "lag": 12,
            "oldest_unsettled_age_seconds": 20.0,
            "subscribers": 2,
            "unattended_lag": 7,
            "in_flight": 3,
            "pending_retries": 5,
            "dead_letters": 4,
        },
        ("t",): {
            "lag": 1,
            "subscribers": 0,
            "unattended_lag": 0,
            "in_flight": 0,
            "pending_retries": 0,
            "dead_letters": 0,
        },
    }


async def test_a_setting_switches_the_series_of_subscriptions_off():
    async with running_api(metrics_max_subscriptions=0) as api:
        await api.topic("t")
        await api.die("t", subscription="s")
        _, samples = await scrape(api)
    assert not [s for s in samples if "subscription" in s.labels]


async def test_times_are_histograms(api: Api):
    await api.topic("t", count=3)
    values, samples = await scrape(api)
    assert values["conduit_publish_duration_seconds_count"] == 1
    assert values["conduit_commit_duration_seconds_count"] == 1
    bounds = [s.labels["le"] for s in samples if s.name == "conduit_ack_latency_seconds_bucket"]
    assert (bounds[0], bounds[-1]) == ("0.001", "+Inf")


async def test_refused_publishes_are_counted_by_their_code(api: Api):
    _, samples = await scrape(api)
    assert refused(samples) == dict.fromkeys(PUBLISH_ERRORS, 0)
    for name in ("nowhere", "not a name", "nowhere"):
        await api.send("POST", "/api/publish", json={"topic": name, "payload": 1})
    _, samples = await scrape(api)
    errors = {"topic_not_found": 2, "invalid_topic": 1, "overloaded": 0}
    assert errors.items() <= refused(samples).items()


def refused(samples):
    name = "conduit_publish_error_total"
    return {s.labels["code"]: s.value for s in samples if s.name == name}


async def test_names_and_units_are_as_promtool_wants_them(api: Api):
    await api.topic("t")
    await api.die("t", subscription="s")
    assert faults((await api.send("GET", "/metrics")).text) == []


async def test_a_help_text_needs_none_before_it(api: Api):
    # Prometheus shows each alone.
    text = (await api.send("GET", "/metrics")).text
    helps = re.findall(r"^# HELP conduit_\w+ (.*)", text, re.MULTILINE)
    assert [
        each for each in helps if re.search(r"\bOf (that|these|those)\b|\bof them\b", each)
    ] == []


async def test_what_connections_keep_and_were_closed_for_is_there_before_it_happens(api: Api):
    _, samples = await scrape(api)
    kept = {one.labels["kind"] for one in samples if one.name == "conduit_connection_memory_bytes"}
    assert kept == {"request", "answer", "message", "queue"}
    closed = {one.labels["reason"]: one.value for one in samples if "connection_closed" in one.name}
    assert closed == dict.fromkeys(REASONS, 0)
    api.context.closings.count("memory", None)
    _, samples = await scrape(api)
    assert {one.value for one in samples if one.labels.get("reason") == "memory"} == {1}


async def test_the_process_is_measured_too(api: Api):
    assert "process_resident_memory_bytes" in (await api.send("GET", "/metrics")).text


async def test_pauses_of_the_collector_are_a_metric(api: Api):
    api.context.collecting.pauses.add(0.25)
    api.context.collecting.pauses.add(0.5)
    values, _ = await scrape(api)
    assert values["conduit_gc_pause_seconds_count"] == 2
    assert values["conduit_gc_pause_seconds_sum"] == 0.75
    assert values["conduit_gc_longest_pause_seconds"] == 0.5
