import json

import pytest

from conduit.broker.administer.dead_letters import LIST_MAX_BYTES
from conduit.names import time_of
from conduit.protocol.codec import format_time
from conduit.protocol.frames import Reject
from tests.server.rest_kit import Api, accepted, refused, running_api

NO_ID = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def letters(api: Api, **query):
    return (await api.get("/api/dlq", **query))["dead_letters"]


async def finished(api: Api, job):
    """The job once it no longer runs."""
    await api.bench.until(
        lambda: api.context.broker.dead_letters.jobs.get("default", job["id"]).state != "running"
    )
    return await api.get(f"/api/dlq/jobs/{job['id']}")


async def test_a_dead_letter_shows_the_delivery_and_the_message(api: Api):
    await api.die("t", subscription="s")
    (letter,) = await letters(api)
    assert letter.pop("id")
    assert letter.pop("message_id")
    assert letter == {
        "topic": "t",
        "seq": 1,
        "subscription": "s",
        "attempts": 1,
        "reason": "bad",
        "died_at": "2023-11-14T22:13:20.000Z",
        "redriven_at": None,
        "published_at": "2023-11-14T22:13:20.000Z",
        "payload": 0,
    }


async def test_a_dead_letter_of_an_ephemeral_subscriber_has_no_subscription(api: Api):
    await api.die("t")
    (letter,) = await letters(api)
    assert letter["subscription"] is None
    assert await letters(api, subscription="") == [letter]


async def test_dead_letters_are_filtered(api: Api):
    await api.die("a", subscription="s1")
    api.bench.clock.seconds += 60
    await api.die("b", subscription="s2")
    for query, topics in (
        ({"topic": "a"}, ["a"]),
        ({"subscription": "s2"}, ["b"]),
        ({"reason": "bad"}, ["b", "a"]),
        ({"reason": "ba"}, []),
        ({"reason": "ä" * 512}, []),
        ({"q": "ba"}, ["b", "a"]),
        ({"from_time": "2023-11-14T22:14:20Z"}, ["b"]),
        ({"to_time": "2023-11-14T22:14:20Z"}, ["a"]),
        ({"topic": "a", "subscription": "s2"}, []),
    ):
        assert [letter["topic"] for letter in await letters(api, **query)] == topics, query


async def test_dead_letters_are_listed_in_pages_newest_first(api: Api):
    await api.die("t", subscription="s", count=5)
    first = await api.get("/api/dlq", limit=3)
    second = await api.get("/api/dlq", limit=3, cursor=first["next"])
    seqs = [[letter["seq"] for letter in page["dead_letters"]] for page in (first, second)]
    assert (seqs, second["next"]) == ([[5, 4, 3], [2, 1]], None)


async def test_a_page_of_large_dead_letters_ends_early_and_loses_none(api: Api):
    await api.topic("t")
    connection, peer = await api.bench.subscribe(
        "t", subscription="s", ack_wait_ms=10, max_attempts=1
    )
    for _ in range(120):
        await api.bench.publish("t", "x" * 100_000)
    await api.bench.advance(1)
    await api.bench.flush()
    assert peer.frames
    connection.close()
    seqs, query = [], {"limit": 500}
    while True:
        page = await api.get("/api/dlq", **query)
        seqs += [letter["seq"] for letter in page["dead_letters"]]
        if page["next"] is None:
            break
        assert len(page["dead_letters"]) < 120
        query["cursor"] = page["next"]
    assert seqs == list(range(120, 0, -1))


async def test_a_dead_letter_is_looked_at_and_discarded(api: Api):
    await api.die("t", subscription="s")
    (letter,) = await letters(api)
    path = f"/api/dlq/{letter['id']}"
    assert await api.get(path) == letter
    gone = await api.send("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    for method, where in (("GET", path), ("DELETE", path), ("POST", f"{path}/redrive")):
        refused(await api.send(method, where), 404, "dead_letter_not_found")


async def test_a_redriven_dead_letter_is_delivered_again_from_attempt_1(api: Api):
    await api.die("t", subscription="s")
    (letter,) = await letters(api)
    redriven = await api.post(f"/api/dlq/{letter['id']}/redrive")
    assert redriven["redriven_at"] == "2023-11-14T22:13:20.000Z"
    connection, peer = await api.bench.subscribe("t", subscription="s")
    assert peer.attempts == [(1, 1)]
    assert (await letters(api))[0]["redriven_at"] is not None
    connection.close()


async def test_a_redriven_dead_letter_of_an_ephemeral_subscriber_is_published_anew(api: Api):
    await api.die("t")
    (letter,) = await letters(api)
    await api.post(f"/api/dlq/{letter['id']}/redrive")
    messages = (await api.get("/api/topics/t/messages"))["messages"]
    assert [message["payload"] for message in messages] == [0, 0]


async def test_what_cannot_be_redriven_says_why(api: Api):
    await api.die("t", subscription="s")
    await api.die("u")
    by_topic = {letter["topic"]: letter["id"] for letter in await letters(api)}
    await api.send("DELETE", "/api/subscriptions/s")
    await api.send("DELETE", "/api/topics/u")
    path = "/api/dlq/{}/redrive"
    refused(await api.send("POST", path.format(by_topic["t"])), 404, "subscription_not_found")
    refused(await api.send("POST", path.format(by_topic["u"])), 404, "topic_not_found", "topic")


async def test_a_job_redrives_all_that_match(api: Api):
    await api.die("t", subscription="s", count=3)
    await api.die("u", subscription="s2")
    job = await finished(
        api, await api.post("/api/dlq/redrive", {"topic": "t", "rate_per_s": 10_000})
    )
    assert (job["state"], job["error"]) == ("done", None)
    assert (job["matched_count"], job["redriven_count"], job["failed_count"]) == (3, 3, 0)
    assert job["finished_at"] is not None
    assert [letter["topic"] for letter in await letters(api) if not letter["redriven_at"]] == ["u"]


async def test_a_dry_run_counts_and_redrives_nothing(api: Api):
    await api.die("t", subscription="s", count=3)
    job = await api.post("/api/dlq/redrive", {"dry_run": True, "max_count": 2})
    assert (job["id"], job["state"], job["matched_count"]) == (None, "dry_run", 2)
    assert not any(letter["redriven_at"] for letter in await letters(api))


async def test_what_matches_nothing_says_so(api: Api):
    await api.die("t", subscription="s")
    plan = await api.post("/api/dlq/redrive", {"topic": "u", "dry_run": True})
    job = await finished(api, await api.post("/api/dlq/redrive", {"topic": "u"}))
    assert (plan["matched_count"], job["state"], job["matched_count"]) == (0, "done", 0)
    for told in (plan["error"], job["error"]):
        assert told.startswith("nothing matches")
    assert (await api.post("/api/dlq/redrive", {"dry_run": True}))["error"] is None


async def test_those_that_were_redriven_are_told_from_the_others(api: Api):
    await api.die("t", subscription="s", count=3)
    ids = {letter["seq"]: letter["id"] for letter in await letters(api)}
    await api.post(f"/api/dlq/{ids[2]}/redrive")
    for redriven, seqs in (("true", [2]), ("false", [3, 1])):
        assert [letter["seq"] for letter in await letters(api, redriven=redriven)] == seqs
    for nonsense in ("1", "yes", "", "True"):
        answer = await api.send("GET", f"/api/dlq?redriven={nonsense}")
        refused(answer, 400, "invalid_request", "redriven")


async def test_a_job_is_cancelled_once(api: Api):
    await api.die("t", subscription="s", count=3)
    job = await api.post("/api/dlq/redrive", {"rate_per_s": 0.01})
    path = f"/api/dlq/jobs/{job['id']}"
    assert accepted(await api.send("DELETE", path))["state"] == "cancelled"
    refused(await api.send("DELETE", path), 409, "conflict")
    assert (await api.get(path))["state"] == "cancelled"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_job_is_404(api: Api, method):
    refused(await api.send(method, f"/api/dlq/jobs/{NO_ID}"), 404, "job_not_found")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"rate_per_s": 0}, "invalid_request", "rate_per_s"),
        ({"rate_per_s": "fast"}, "invalid_request", "rate_per_s"),
        ({"max_count": 0}, "invalid_request", "max_count"),
        ({"dry_run": "yes"}, "invalid_request", "dry_run"),
        ({"from_time": 5}, "invalid_request", "from_time"),
        ({"q": "\ud800"}, "invalid_request", "q"),
        ({"topics": "t"}, "unknown_field", "topics"),
        ({"\ud800": "t"}, "unknown_field", "?"),
    ],
)
async def test_a_job_with_a_fault_is_refused_by_field(api: Api, body, code, field):
    answer = await api.send("POST", "/api/dlq/redrive", content=json.dumps(body))
    refused(answer, 400, code, field)


async def test_a_job_needs_a_body_so_that_none_redrives_everything_by_accident(api: Api):
    refused(await api.send("POST", "/api/dlq/redrive"), 400, "malformed_json")


@pytest.mark.parametrize("dead_id", [NO_ID, "nonsense", "%00", "a" * 300])
async def test_an_id_that_nothing_has_is_404(api: Api, dead_id):
    refused(await api.send("GET", f"/api/dlq/{dead_id}"), 404, "dead_letter_not_found")


async def test_a_page_ends_before_it_has_more_than_4_mib_and_pages_join(api: Api):
    size, count = 200_000, 50
    await api.topic("t")
    connection, peer = await api.bench.subscribe("t", subscription="s")
    for number in range(count):
        await api.bench.publish("t", f"{number} " + "x" * size)
    for frame in peer.of("message"):
        connection.verbs.reject(Reject(frame["message_id"], reason="bad"))
    await api.bench.flush()
    found, cursor = [], None
    while not found or cursor:
        answer = await api.send(
            "GET", "/api/dlq", params={"limit": 100} | ({"cursor": cursor} if cursor else {})
        )
        page = accepted(answer)
        assert len(answer.content) < LIST_MAX_BYTES + 100 * 1_000
        assert "searched_to" not in page
        found += [letter["seq"] for letter in page["dead_letters"]]
        cursor = page["next"]
    assert found == list(range(count, 0, -1))


async def test_a_search_that_takes_too_long_says_how_far_it_came_and_goes_on(api: Api, monkeypatch):
    monkeypatch.setattr("conduit.broker.administer.looking.SEARCH_MAX_S", 0.0)
    monkeypatch.setattr("conduit.storage.dead.LOOK_MAX_COUNT", 2)
    await api.die("t", subscription="s", count=5)
    _, looked_at = await letters(api, limit=2)
    seen = await api.get("/api/dlq", q="nothing")
    assert seen["dead_letters"] == []
    assert seen["searched_to"] == format_time(time_of(looked_at["id"]))
    second = await api.get("/api/dlq", q="nothing", cursor=seen["next"])
    last = await api.get("/api/dlq", q="nothing", cursor=second["next"])
    assert last == {"dead_letters": [], "next": None}
    for act in ("redrive", "discard"):
        dry = await api.post(f"/api/dlq/{act}", {"reason": "bad", "dry_run": True})
        assert (dry["matched_count"], dry["error"][:26]) == (2, "only those that died since")
