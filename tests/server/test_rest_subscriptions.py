import json

import pytest

from conduit.broker.administer import views
from conduit.client.rest import address
from conduit.core.message import SubscriptionSettings
from conduit.names import DEFAULT_TENANT
from conduit.storage.base import Start
from conduit.storage.memory import MemoryStore
from tests.server.rest_kit import Api, accepted, refused, running_api


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def create(api: Api, name="s", topic="t", **more):
    body = {"name": name, "topic": topic, **more}
    return await api.post("/api/subscriptions", body, 201)


async def refused_create(api: Api, code, field, **body):
    answer = await api.send("POST", "/api/subscriptions", json=body)
    return refused(answer, 409 if code == "subscription_exists" else 400, code, field)


def floors(body):
    return {topic["topic"]: topic["floor"] for topic in body["topics"]}


async def test_a_subscription_is_created_with_every_field(api: Api):
    assert await create(api, topic="t") == {
        "name": "s",
        "topic": "t",
        "created_at": "2023-11-14T22:13:20.000Z",
        "paused": False,
        "ack": "explicit",
        "order": "publish",
        "max_in_flight": 256,
        "ack_wait_ms": 30_000,
        "max_ack_wait_ms": 60_000,
        "max_attempts": 5,
        "max_lost": 20,
        "subscribers": 0,
        "in_flight_count": 0,
        "pending_retry_count": 0,
        "full": False,
        "dead_count": 0,
        "redriven_count": 0,
        "lag": 0,
        "topics": [{"topic": "t", "floor": 0, "last_seq": 0, "lag": 0}],
        "more_topics": False,
        "gaps": [],
        "more_gaps": False,
    }
    assert (await api.get("/api/topics/t"))["name"] == "t", "a literal topic is created with it"


async def test_settings_that_are_given_are_kept(api: Api):
    given = {"ack": "auto", "order": "strict", "max_in_flight": 1, "max_attempts": 2}
    body = await create(api, **given)
    assert body.items() >= given.items()


@pytest.mark.parametrize(
    ("start", "floor"),
    [
        (None, 5),
        ("new", 5),
        ("earliest", 0),
        ({"seq": 4}, 3),
        ({"time": "2023-11-14T22:13:20Z"}, 0),
        ({"positions": {"t": {"seq": 2}}}, 1),
    ],
)
async def test_a_subscription_begins_where_it_is_told_to(api: Api, start, floor):
    await api.topic("t", 5)
    assert floors(await create(api, start=start)) == {"t": floor}


async def test_lag_counts_what_is_above_the_floor(api: Api):
    await api.topic("t", 5)
    await create(api, start={"seq": 3})
    (topic,) = (await api.get("/api/subscriptions/s"))["topics"]
    assert topic == {"topic": "t", "floor": 2, "last_seq": 5, "lag": 3}


async def test_more_than_twenty_topics_are_asked_for_page_by_page(api: Api):
    names = [f"a.t{number:02}" for number in range(21)]
    for name in names:
        await api.topic(name, 1)
    await api.topic("b.other", 1)
    created = await create(api, topic="a.*", start="earliest")
    assert (created["topics"], created["more_topics"], created["lag"]) == ([], True, 21)
    found, page = [], {"next": ""}
    while page["next"] is not None:
        cursor = f"&cursor={page['next']}" if page["next"] else ""
        page = await api.get(f"/api/subscriptions/s/topics?limit=8{cursor}")
        found += [(place["topic"], place["lag"]) for place in page["topics"]]
    assert found == [(name, 1) for name in names]
    moved = await api.post("/api/subscriptions/s/seek", {"start": "new", "dry_run": True})
    assert (moved["topics"], moved["more_topics"], moved["lag"]) == ([], True, 0)
    refused(
        await api.send("GET", "/api/subscriptions/nobody/topics"), 404, "subscription_not_found"
    )


async def test_a_start_with_half_of_a_surrogate_pair_is_refused_as_any_other(api: Api):
    for text in (rb'"\ud800"', rb'{"\ud800": 1}', rb'{"seq": "\ud800"}', rb'{"time": "\ud800"}'):
        body = b'{"name": "s", "topic": "t", "start": %b}' % text
        answer = await api.send("POST", "/api/subscriptions", content=body)
        assert answer.status_code == 400
        assert answer.json()["field"] in ("start", "start.seq", "start.time")


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"seq": "a"}, "start.seq: it must be an integer or null, and is a string"),
        (5, "start: it must be a string or an object, and is an integer"),
        (
            {"positions": {"a.b": {"seq": 1.5}}},
            "start.positions.a.b.seq: it must be an integer, and is a number",
        ),
        ({"seq": 0}, "start.seq must be 1 to 9007199254740992 (2^53)"),
        ({"seq": 10**19}, "start.seq must be 1 to 9007199254740992 (2^53)"),
    ],
)
async def test_a_start_with_a_fault_is_told_in_the_words_of_the_websocket(api: Api, start, words):
    await api.topic("t", 1)
    body = {"name": "s", "topic": "t", "start": start}
    answer = await api.send("POST", "/api/subscriptions", json=body)
    assert answer.json()["detail"] == words
    await create(api)
    answer = await api.send("POST", "/api/subscriptions/s/seek", json={"start": start})
    assert answer.json()["detail"] == words


@pytest.mark.parametrize(
    ("code", "field", "body"),
    [
        ("invalid_request", "name", {"topic": "t"}),
        ("invalid_request", "topic", {"name": "s"}),
        ("invalid_name", "name", {"name": "a b", "topic": "t"}),
        ("invalid_name", "name", {"name": ".", "topic": "t"}),
        ("invalid_name", "name", {"name": "..", "topic": "t"}),
        ("invalid_pattern", "topic", {"name": "s", "topic": "a.>.b"}),
        ("invalid_topic", "topic", {"name": "s", "topic": ""}),
        ("unknown_field", "strat", {"name": "s", "topic": "t", "strat": "new"}),
        ("invalid_request", "start", {"name": "s", "topic": "t", "start": "newest"}),
        ("unknown_field", "start.sq", {"name": "s", "topic": "t", "start": {"sq": 1}}),
        ("invalid_request", "start.seq", {"name": "s", "topic": "t", "start": {"seq": 1 << 60}}),
        ("invalid_request", "start", {"name": "s", "topic": "t", "start": {}}),
        ("invalid_request", "max_attempts", {"name": "s", "topic": "t", "max_attempts": 101}),
        ("invalid_request", "ack_wait_ms", {"name": "s", "topic": "t", "ack_wait_ms": 1.5}),
        ("invalid_request", "max_lost", {"name": "s", "topic": "t", "max_lost": 0}),
        ("invalid_request", "max_lost", {"name": "s", "topic": "t", "max_lost": 1001}),
        ("invalid_request", "max_lost", {"name": "s", "topic": "t", "max_lost": "none"}),
        ("invalid_request", "order", {"name": "s", "topic": "t", "order": "none"}),
    ],
)
async def test_a_subscription_with_a_fault_is_refused_by_field(api: Api, code, field, body):
    await refused_create(api, code, field, **body)
    assert (await api.get("/api/subscriptions"))["subscriptions"] == []


async def test_one_of_before_that_is_called_like_a_step_of_a_path_can_be_deleted():
    store = MemoryStore()
    await store.open()
    await store.subscription_create(DEFAULT_TENANT, "..", "t", SubscriptionSettings(), Start(), 0)
    async with running_api(store=store) as api:
        path = address("subscriptions", "..")
        assert (await api.get(path))["name"] == ".."
        assert (await api.send("DELETE", path)).status_code == 204
        refused(await api.send("GET", path), 404, "subscription_not_found")


async def test_a_name_that_is_taken_is_a_conflict(api: Api):
    await create(api)
    await refused_create(api, "subscription_exists", "name", name="s", topic="other")


async def test_subscriptions_are_listed_in_pages_and_by_a_part_of_the_name(api: Api):
    for name in ("b", "a", "ab"):
        await create(api, name)
    page = await api.get("/api/subscriptions", limit=2)
    assert [each["name"] for each in page["subscriptions"]] == ["a", "ab"]
    page = await api.get("/api/subscriptions", limit=2, cursor=page["next"])
    assert ([each["name"] for each in page["subscriptions"]], page["next"]) == (["b"], None)
    page = await api.get("/api/subscriptions", q="b")
    assert [each["name"] for each in page["subscriptions"]] == ["ab", "b"]


async def test_settings_change_and_what_is_not_named_stays(api: Api):
    await create(api, max_attempts=3)
    answer = await api.send("PATCH", "/api/subscriptions/s", json={"ack_wait_ms": 5000})
    body = accepted(answer)
    assert (body["ack_wait_ms"], body["max_attempts"]) == (5000, 3)


async def test_losses_may_be_without_bound_from_the_beginning_or_later(api: Api):
    assert (await create(api, max_lost=None))["max_lost"] is None
    for max_lost in (1, None, 1_000):
        answer = await api.send("PATCH", "/api/subscriptions/s", json={"max_lost": max_lost})
        assert accepted(answer)["max_lost"] == max_lost
    await api.send("PATCH", "/api/subscriptions/s", json={"max_attempts": 2})
    assert (await api.get("/api/subscriptions/s"))["max_lost"] == 1_000


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"max_lost": 0}, "invalid_request", "max_lost"),
        ({"ack_wait_ms": None}, "invalid_request", "ack_wait_ms"),
        ({"max_attempts": 0}, "invalid_request", "max_attempts"),
        ({"ack": "auto"}, "unknown_field", "ack"),
        ({"topic": "other"}, "unknown_field", "topic"),
    ],
)
async def test_what_cannot_change_is_refused(api: Api, change, code, field):
    await create(api)
    answer = await api.send("PATCH", "/api/subscriptions/s", json=change)
    refused(answer, 400, code, field)


async def test_seek_moves_and_a_dry_run_only_says_where_to(api: Api):
    await api.topic("t", 5)
    await create(api)
    moved = await api.post("/api/subscriptions/s/seek", {"start": {"seq": 2}, "dry_run": True})
    assert (floors(moved), moved["dry_run"]) == ({"t": 1}, True)
    assert floors(await api.get("/api/subscriptions/s")) == {"t": 5}
    moved = await api.post("/api/subscriptions/s/seek", {"start": {"seq": 2}})
    assert (floors(moved), moved["dry_run"]) == ({"t": 1}, False)
    assert floors(await api.get("/api/subscriptions/s")) == {"t": 1}


async def test_what_a_start_cannot_be_given_is_in_the_answer(api: Api):
    await api.topic("t", 5)
    epoch = (await api.get("/api/topics/t"))["epoch"]
    other = {"seq": 3, "epoch": "another"}
    changed = {"topic": "t", "from_seq": 3, "to_seq": None, "reason": "epoch_changed"}
    assert (await create(api, start=other))["gaps"] == [changed | {"epoch": epoch}]
    assert "gaps" not in await api.get("/api/subscriptions/s")
    moved = await api.post("/api/subscriptions/s/seek", {"start": other, "dry_run": True})
    assert moved["gaps"] == [changed | {"epoch": epoch}]
    lost = {"topic": "t", "from_seq": 6, "to_seq": 8, "reason": "log_lost", "epoch": epoch}
    moved = await api.post("/api/subscriptions/s/seek", {"start": {"seq": 9}})
    assert (moved["gaps"], floors(moved)) == ([lost | {"was_published": False}], {"t": 5})
    # Whoever names the epoch has seen what the log does not have.
    known = {"positions": {"t": {"seq": 9, "epoch": epoch}}}
    moved = await api.post("/api/subscriptions/s/seek", {"start": known, "dry_run": True})
    assert moved["gaps"] == [lost | {"was_published": True}]
    (shown,) = moved["topics"]
    assert (shown["next_is"], shown.get("next_seq")) == ("not_published", None)
    assert (await api.post("/api/subscriptions/s/seek", {"start": "earliest"}))["gaps"] == []


async def test_numbers_that_were_removed_are_in_the_answer_and_their_subscriber_hears_of_them_once(
    api: Api,
):
    await api.topic("t", 5)
    epoch = (await api.get("/api/topics/t"))["epoch"]
    await api.post("/api/topics/t/purge", {})
    await api.bench.publish_many("t", 1)
    gone = {"topic": "t", "from_seq": 2, "to_seq": 5, "reason": "retention", "epoch": epoch}
    await create(api)
    for dry_run in (True, False):
        asked = {"start": {"seq": 2}, "dry_run": dry_run}
        moved = await api.post("/api/subscriptions/s/seek", asked)
        assert (moved["gaps"], moved["more_gaps"], floors(moved)) == ([gone], False, {"t": 1})
    _, peer = await api.bench.subscribe("t", subscription="s")
    told = [(gap["from_seq"], gap["to_seq"], gap["reason"]) for gap in peer.of("gap")]
    assert told == [(2, 5, "retention")]
    for start in ({"seq": 6}, "earliest"):
        asked = {"start": start, "dry_run": True}
        assert (await api.post("/api/subscriptions/s/seek", asked))["gaps"] == []
    assert (await create(api, name="later", start={"seq": 2}))["gaps"] == [gone]


async def test_an_answer_shows_the_first_of_many_gaps_and_that_there_are_more(
    api: Api, monkeypatch
):
    monkeypatch.setattr(views, "GAPS_SHOWN_COUNT", 2)
    for name in ("t.a", "t.b", "t.c"):
        await api.topic(name, 1)
    start = {"seq": 9}
    created = await create(api, topic="t.*", start=start)
    assert (len(created["gaps"]), created["more_gaps"]) == (2, True)
    moved = await api.post("/api/subscriptions/s/seek", {"start": start})
    assert (len(moved["gaps"]), moved["more_gaps"]) == (2, True)
    monkeypatch.setattr(views, "GAPS_SHOWN_COUNT", 3)
    moved = await api.post("/api/subscriptions/s/seek", {"start": start})
    assert (len(moved["gaps"]), moved["more_gaps"]) == (3, False)


@pytest.mark.parametrize("body", [{}, {"start": None}, {"start": "x"}, {"start": "new", "dry": 1}])
async def test_seek_needs_a_start(api: Api, body):
    await create(api)
    answer = await api.send("POST", "/api/subscriptions/s/seek", json=body)
    assert answer.status_code == 400


async def test_pause_and_resume_show_in_the_answer(api: Api):
    await create(api)
    assert (await api.post("/api/subscriptions/s/pause"))["paused"] is True
    assert (await api.get("/api/subscriptions/s"))["paused"] is True
    assert (await api.post("/api/subscriptions/s/resume"))["paused"] is False


async def test_deleting_is_204_and_then_all_is_404(api: Api):
    await create(api)
    assert (await api.send("DELETE", "/api/subscriptions/s")).status_code == 204
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/seek", {"start": "new"}),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
    ):
        answer = await api.send(method, f"/api/subscriptions/s{path}", json=body)
        refused(answer, 404, "subscription_not_found")


async def test_the_audit_log_has_how_many_positions_a_seek_had(api: Api):
    await create(api, topic=">")
    positions = {f"t{number}": {"seq": 1} for number in range(1_000)}
    await api.post("/api/subscriptions/s/seek", {"start": {"positions": positions}})
    (entry,) = await api.context.broker.store.audit_page(None, limit=9)
    assert (entry.action, json.loads(entry.detail)) == (
        "subscription.seek",
        {"start": {"positions": 1_000}},
    )
