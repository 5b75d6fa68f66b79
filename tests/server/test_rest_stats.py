import pytest

from conduit.core.activity import ROUND_S
from conduit.limits import TenantLimits
from conduit.protocol.frames import Ack
from conduit.server.rest import busy
from tests.server.guarded import open_guarded
from tests.server.rest_kit import Api, refused, running_api
from tests.storage import given


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def test_stats_count_what_happens(api: Api):
    await api.topic("t")
    connection, peer = await api.bench.subscribe("t", subscription="s")
    await api.bench.publish_many("t", 4)
    connection.verbs.ack(Ack(message_id=peer.of("message")[0]["message_id"]))
    # What is settled leaves the backlog with its flush.
    await api.bench.broker._engine.progress.flush()
    stats = await api.get("/api/stats")
    assert (stats["total_messages"], stats["total_deliveries"], stats["total_acks"]) == (4, 4, 1)
    assert (stats["active_topics"], stats["active_subscribers"], stats["backlog"]) == (1, 1, 3)
    assert stats["uptime_seconds"] == 0


async def test_rates_are_means_of_the_last_ten_seconds(api: Api):
    await api.topic("t", 90)
    api.context.broker.stats.tick(api.bench.clock.now(), api.bench.clock.wall_ms())
    api.bench.clock.seconds += 9
    assert (await api.get("/api/stats"))["messages_per_sec"] == pytest.approx(10)
    api.bench.clock.seconds += 10
    assert (await api.get("/api/stats"))["messages_per_sec"] == 0


async def test_the_history_is_bounded_and_its_end_can_be_asked_for(api: Api):
    ticked(api, 725 * 5)
    whole = await api.get("/api/stats/history")
    assert (whole["interval_s"], len(whole["samples"])) == (5, 720)
    last = await api.get("/api/stats/history", limit=2)
    assert last["samples"] == whole["samples"][-2:]
    assert last["samples"][-1] == {
        "at": "2023-11-14T23:13:45.000Z",
        "messages_per_sec": 0,
        "deliveries_per_sec": 0,
        "acks_per_sec": 0,
        "redeliveries_per_sec": 0,
        "dead_letters_per_sec": 0,
        "backlog": 0,
        "active_subscribers": 0,
        "active_topics": 0,
        "connections": 0,
        "node_count": 1,
        "publish_p50_ms": None,
        "publish_p99_ms": None,
        "delivery_p50_ms": None,
        "delivery_p99_ms": None,
    }


def ticked(api: Api, seconds: int) -> None:
    broker = api.context.broker
    for _ in range(seconds):
        api.bench.clock.seconds += 1
        broker.histories.sample(api.bench.clock.now(), api.bench.clock.wall_ms())


async def test_the_history_has_three_resolutions_and_latencies_in_each(api: Api):
    await api.bench.subscribe("t", ack="auto")
    await api.bench.publish_many("t", 4)
    api.context.broker.stats.publish_times.add(0.004, 96)
    ticked(api, 60)
    for interval_s, count in ((1, 60), (5, 12), (60, 1)):
        found = await api.get("/api/stats/history", interval_s=interval_s)
        assert (found["interval_s"], len(found["samples"])) == (interval_s, count)
        first = found["samples"][0]
        assert first["messages_per_sec"] == pytest.approx(4 / interval_s, abs=0.01)
        assert 2.5 < first["publish_p50_ms"] <= first["publish_p99_ms"] <= 5
        assert 0 <= first["delivery_p50_ms"] <= first["delivery_p99_ms"] <= 1
    for wrong in ("2", "0", "x", "1.0", "-1", ""):
        answer = await api.send("GET", "/api/stats/history", params={"interval_s": wrong})
        refused(answer, 400, "invalid_request", "interval_s")


async def test_who_gets_the_name_of_a_tenant_that_is_gone_sees_no_statistics_of_it():
    async with open_guarded() as guarded:
        broker = guarded.port.broker

        async def seen(key: str) -> tuple[int, list[object]]:
            stats = await guarded.ask("GET", "/api/stats", key)
            history = await guarded.ask("GET", "/api/stats/history", key)
            return stats.json["total_messages"], history.json["samples"]

        old = await guarded.key(by=await guarded.tenant("acme"))
        await guarded.ask("POST", "/api/topics", old.text, {"name": "t"})
        await guarded.ask("POST", "/api/publish", old.text, {"topic": "t", "payload": 1})
        assert await seen(old.text) == (1, [])
        later = broker.clock.now() + 5.0
        broker.histories.sample(later, broker.clock.wall_ms())
        # Somebody holds what is counted, as a socket that is closing does.
        allowance = broker.allowances.of("acme")
        assert len((await seen(old.text))[1]) == 1
        assert (await guarded.ask("DELETE", "/api/topics/t", old.text)).status == 204
        await guarded.accounts.delete_tenant("acme")
        new = await guarded.key(by=await guarded.tenant("acme"))
        assert await seen(new.text) == (0, [])
        assert broker.allowances.of("acme") is allowance


def gone_on(api: Api, rounds: int = 1) -> None:
    for _ in range(rounds * ROUND_S):
        api.context.broker.activities.tick()


async def test_the_busiest_topics_are_told_and_those_that_are_named(api: Api):
    await api.bench.subscribe("b", ack="auto")
    for name, count in (("a", 6), ("c", 12)):
        await api.topic(name, count)
    await api.bench.publish_many("b", 30)
    await api.topic("quiet")
    gone_on(api)
    found = await api.get("/api/stats/topics", limit=2)
    assert (found["interval_s"], found["unanswered_count"]) == (ROUND_S, 0)
    assert [each["name"] for each in found["topics"]] == ["b", "c"]
    first = found["topics"][0]
    assert (first["messages_per_sec"], first["deliveries_per_sec"]) == (0.5, 0.5)
    assert (len(first["published_counts"]), first["delivered_counts"][-1]) == (30, 30)
    assert (first["backlog"], first["more_backlog"]) == (0, False)
    named = await api.get("/api/stats/topics", names="quiet,a,gone,a")
    assert [each["name"] for each in named["topics"]] == ["quiet", "a"]
    assert named["topics"][0]["published_counts"] == [0] * 30
    assert named["topics"][1]["messages_per_sec"] == 0.1


async def test_a_backlog_that_is_only_in_the_store_is_counted_there(api: Api):
    for name in ("a.1", "a.2"):
        await api.topic(name)
    connection, peer = await api.bench.subscribe("a.*", subscription="all")
    await api.bench.publish_many("a.1", 3)
    await api.bench.publish_many("a.2", 5)
    connection.verbs.ack(Ack(peer.of("message")[0]["message_id"]))
    await api.bench.flush()
    connection.close()
    await api.bench.flush()
    named = await api.get("/api/stats/topics", names="a.1,a.2")
    shown = [(each["backlog"], each["more_backlog"]) for each in named["topics"]]
    assert shown == [(2, False), (5, False)]


async def test_of_too_many_subscriptions_the_store_is_not_asked(api: Api, monkeypatch):
    monkeypatch.setattr(busy, "COUNTED_MAX_COUNT", 0)
    await api.topic("a.1")
    connection, _ = await api.bench.subscribe("a.*", subscription="all")
    connection.close()
    await api.topic("a.2")
    await api.bench.publish_many("a.1", 3)
    await api.bench.flush()
    (shown,) = (await api.get("/api/stats/topics", names="a.1"))["topics"]
    assert (shown["backlog"], shown["more_backlog"]) == (0, True)


async def test_too_many_names_or_wrong_ones_are_refused(api: Api):
    path, many = "/api/stats/topics", ",".join(f"t{number}" for number in range(51))
    refused(await api.send("GET", path, params={"names": many}), 400, "invalid_request", "names")
    for wrong in ("", "a,,b", "a b", "x.*"):
        answer = await api.send("GET", path, params={"names": wrong})
        refused(answer, 400, "invalid_topic", "names")


async def test_what_somebody_should_look_at_is_told_at_the_first_question(api: Api):
    settings = api.bench.durable_settings()
    await api.bench.broker.subscriptions.create("default", "s", "t", settings, None)
    await api.bench.publish_many("t", 4)
    await api.bench.broker.subscriptions._counting.round()
    api.bench.broker.allowances.set_limits("default", TenantLimits(topics=1))
    assert await api.get("/api/stats/attention") == {
        "unanswered_count": 0,
        "nodes": ["node-1"],
        "unanswered": [],
        "subscriptions": [
            {
                "tenant": "default",
                "name": "s",
                "trouble": "absent",
                "lag": 4,
                "grown_count": None,
                "grown_in_s": None,
                "subscriber_count": 0,
                "pending_retry_count": 0,
            }
        ],
        "counts": {"absent": 1},
        "quotas": [{"tenant": "default", "limit": "topics", "used": 1, "max": 1}],
        "dead_letters": 0,
        "dead_letters_by_tenant": [],
        "more_dead_tenants": 0,
        "age_s": 0.0,
        "is_fresh": True,
    }
    await api.die("t", subscription="d", count=2)
    assert (await api.get("/api/stats/attention"))["dead_letters"] == 2


async def test_who_may_read_some_topics_is_told_of_no_others():
    async with open_guarded() as guarded:
        admin = await guarded.key(by=await guarded.tenant("acme"))
        for name in ("mine.a", "theirs"):
            await guarded.ask("POST", "/api/topics", admin.text, {"name": name})
            body = {"topic": name, "payload": 1}
            await guarded.ask("POST", "/api/publish", admin.text, body)
        scopes = [{"scope": "subscribe", "topics": ["mine.>"]}]
        asked = {"name": "r", "scopes": scopes}
        reader = (await guarded.ask("POST", "/api/keys", admin.text, asked)).json["key"]
        for _ in range(ROUND_S):
            guarded.port.broker.activities.tick()
        for query in ("", "?names=theirs,mine.a"):
            answer = await guarded.ask("GET", f"/api/stats/topics{query}", reader)
            assert [each["name"] for each in answer.json["topics"]] == ["mine.a"]
        # Also if more goes through very many others.
        for number in range(50):
            asked = {"topic": f"theirs.{number}", "payload": 1}
            for _ in range(2):
                await guarded.ask("POST", "/api/publish", admin.text, asked)
        for _ in range(ROUND_S):
            guarded.port.broker.activities.tick()
        answer = await guarded.ask("GET", "/api/stats/topics", reader)
        assert [each["name"] for each in answer.json["topics"]] == ["mine.a"]
        answer = await guarded.ask("GET", "/api/stats/topics?names=theirs", reader)
        assert (answer.json["topics"], answer.json["unanswered_count"]) == ([], 0)
        assert (await guarded.ask("GET", "/api/stats/attention", reader)).status == 403


async def test_an_operator_is_told_the_dead_letters_of_all_tenants_and_a_tenant_its_own(
    monkeypatch,
):
    async with open_guarded() as guarded:
        operator = (await guarded.operator()).text
        managers = {}
        for name, count in (("acme", 1), ("blue", 3)):
            managers[name] = (await guarded.key(by=await guarded.tenant(name))).text
            topic = await guarded.port.broker.topics.create(name, "t")
            deaths = [
                given.death(topic.topic_id, seq, f"{name}{seq}", tenant=name, subscription="")
                for seq in range(1, count + 1)
            ]
            for _ in deaths:
                body = {"topic": "t", "payload": 1}
                await guarded.ask("POST", "/api/publish", managers[name], body)
            await guarded.port.broker.store.settle([], deaths)

        async def dead(key: str, *more: str) -> tuple[int, list[tuple[str, int]], int]:
            found = (await guarded.ask("GET", "/api/stats/attention", key, None, *more)).json
            each = [tuple(one.values()) for one in found["dead_letters_by_tenant"]]
            return found["dead_letters"], each, found["more_dead_tenants"]

        assert await dead(operator) == (4, [("blue", 3), ("acme", 1)], 0)
        assert await dead(managers["acme"]) == (1, [("acme", 1)], 0)
        for tenant, own in (("blue", [("blue", 3)]), ("default", [])):
            found = await dead(operator, f"X-Conduit-Tenant: {tenant}")
            assert found == (sum(count for _, count in own), own, 0)
        monkeypatch.setattr(busy, "DEAD_TENANTS_MAX_COUNT", 1)
        assert await dead(operator) == (4, [("blue", 3)], 1)


async def test_who_may_manage_some_topics_is_not_told_what_the_tenant_should_look_at():
    async with open_guarded() as guarded:
        admin = await guarded.key(by=await guarded.tenant("acme"))
        for name, topics in (("some", ["mine.>"]), ("all", None)):
            scopes = [
                {"scope": "manage"} if topics is None else {"scope": "manage", "topics": topics}
            ]
            asked = {"name": name, "scopes": scopes}
            key = (await guarded.ask("POST", "/api/keys", admin.text, asked)).json["key"]
            answer = await guarded.ask("GET", "/api/stats/attention", key)
            assert answer.status == (200 if topics is None else 403), answer.json
