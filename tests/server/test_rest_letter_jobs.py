"""Jobs over REST that discard dead letters, and jobs for those that were chosen."""

import json

import pytest

from conduit.server.rest.letter_jobs import AUDITED_IDS_COUNT, IDS_MAX_COUNT
from tests.server.rest_kit import Api, refused, running_api

NO_ID = "01890000-0000-7000-8000-000000000000"
NAMES = ("topic", "subscription", "reason", "from_time", "to_time", "q", "redriven", "ids_count")
ALL = dict.fromkeys(NAMES)


@pytest.fixture
async def api():
    async with running_api() as api:
        yield api


async def letters(api: Api, **query):
    return (await api.get("/api/dlq", **query))["dead_letters"]


async def finished(api: Api, act: str, **body):
    """The job that this starts, once it no longer runs."""
    job = await api.post(f"/api/dlq/{act}", {"rate_per_s": 10_000, **body})
    jobs = api.context.broker.dead_letters.jobs
    await api.bench.until(lambda: jobs.get("default", job["id"]).state != "running")
    return await api.get(f"/api/dlq/jobs/{job['id']}")


async def test_many_are_discarded_by_filters_and_a_dry_run_discards_none(api: Api):
    await api.die("t", subscription="s", count=5)
    await api.die("u", subscription="s2")
    (one, *_) = await letters(api, topic="t")
    await api.post(f"/api/dlq/{one['id']}/redrive")
    plan = await api.post("/api/dlq/discard", {"topic": "t", "dry_run": True})
    assert plan == {
        "id": None,
        "action": "discard",
        "state": "dry_run",
        "matched_count": 5,
        "redriven_count": 0,
        "discarded_count": 0,
        "failed_count": 0,
        "rate_per_s": 1_000.0,
        "max_count": 100_000,
        "started_at": plan["started_at"],
        "finished_at": None,
        "error": None,
        "which": {**ALL, "topic": "t"},
        "node": None,
    }
    assert len(await letters(api)) == 6
    for body, count in (
        ({"topic": "t", "redriven": True}, 1),
        ({"topic": "t", "max_count": 3}, 3),
        ({"topic": "t"}, 1),
        ({}, 1),
        ({}, 0),
    ):
        job = await finished(api, "discard", **body)
        assert (job["action"], job["state"]) == ("discard", "done")
        assert (job["matched_count"], job["discarded_count"]) == (count, count)
    assert job["error"] == "nothing matches: there is no such dead letter"


@pytest.mark.parametrize("act", ["redrive", "discard"])
async def test_until_the_moment_of_a_dry_run_a_job_takes_what_was_counted(api: Api, act):
    await api.die("t", subscription="s", count=2)
    plan = await api.post(f"/api/dlq/{act}", {"topic": "t", "dry_run": True})
    api.bench.clock.seconds += 0.001
    await api.die("t", subscription="s", count=3)
    job = await finished(api, act, topic="t", to_time=plan["started_at"])
    assert (plan["matched_count"], job["matched_count"]) == (2, 2)
    assert job["redriven_count"] + job["discarded_count"] == 2


@pytest.mark.parametrize("act", ["redrive", "discard"])
async def test_those_with_these_ids_are_counted_and_dealt_with(api: Api, act):
    await api.die("t", subscription="s", count=3)
    await api.die("u", subscription="s2")
    found = await letters(api)
    ids = [found[0]["id"], found[1]["id"], found[1]["id"], NO_ID]
    plan = await api.post(f"/api/dlq/{act}", {"ids": ids, "dry_run": True})
    assert (plan["matched_count"], plan["error"]) == (2, None)
    plan = await api.post(f"/api/dlq/{act}", {"ids": ids, "topic": "t", "dry_run": True})
    assert plan["matched_count"] == 1
    nothing = await api.post(f"/api/dlq/{act}", {"ids": [NO_ID], "dry_run": True})
    assert nothing["error"].startswith("nothing matches")
    job = await finished(api, act, ids=ids)
    assert (job["matched_count"], job["failed_count"]) == (2, 0)
    assert job["redriven_count"] + job["discarded_count"] == 2
    left = [one["id"] for one in await letters(api) if one["redriven_at"] is None]
    assert left == [found[2]["id"], found[3]["id"]]


async def test_the_audit_log_has_who_started_a_job_and_for_which(api: Api):
    await api.die("t", subscription="s", count=AUDITED_IDS_COUNT + 5)
    ids = [one["id"] for one in await letters(api)]
    job = await finished(api, "discard", ids=ids)
    whole = await finished(api, "discard", topic="t", redriven=False)
    entries = (await api.get("/api/audit", action="dead_letter.discard"))["entries"]
    assert [entry["target"] for entry in entries] == [whole["id"], job["id"]]
    assert entries[1]["detail"] == {
        "rate_per_s": 10_000.0,
        "ids_count": len(ids),
        "ids": ids[:AUDITED_IDS_COUNT],
    }
    assert entries[0]["detail"] == {"rate_per_s": 10_000.0, "topic": "t", "redriven": False}


async def test_a_discard_is_cancelled_and_what_it_had_not_come_to_stays(api: Api):
    await api.die("t", subscription="s", count=3)
    job = await api.post("/api/dlq/discard", {"rate_per_s": 0.01})
    path = f"/api/dlq/jobs/{job['id']}"
    jobs = api.context.broker.dead_letters.jobs
    await api.bench.until(lambda: jobs.get("default", job["id"]).discarded_count == 1)
    cancelled = await api.send("DELETE", path)
    assert (cancelled.json()["state"], cancelled.json()["discarded_count"]) == ("cancelled", 1)
    refused(await api.send("DELETE", path), 409, "conflict")
    assert [one["seq"] for one in await letters(api)] == [3, 2]


async def test_jobs_are_listed_with_what_they_are_for_those_that_run_first_then_the_newest(
    api: Api,
):
    assert await api.get("/api/dlq/jobs") == {
        "jobs": [],
        "unanswered_count": 0,
        "nodes": ["node-1"],
        "unanswered": [],
    }
    await api.die("t", subscription="s", count=3)
    slow = await api.post("/api/dlq/redrive", {"subscription": "s", "rate_per_s": 0.01})
    # Of the same millisecond the ids tell which was first.
    first = await finished(api, "discard", reason="none", from_time="2026-11-22T20:50:00Z", q="x")
    api.bench.clock.seconds += 1
    ids = [one["id"] for one in await letters(api)][:2]
    last = await finished(api, "discard", ids=ids, topic="t")
    listed = (await api.get("/api/dlq/jobs"))["jobs"]
    assert [job["id"] for job in listed] == [slow["id"], last["id"], first["id"]]
    assert [job["state"] for job in listed] == ["running", "done", "done"]
    assert {job["node"] for job in listed} == {"node-1"}
    assert listed[1:] == [last, first]
    wanted = {**ALL, "reason": "none", "from_time": "2026-11-22T20:50:00.000Z", "q": "x"}
    assert first["which"] == wanted
    assert last["which"] == {**ALL, "topic": "t", "ids_count": 2}
    assert slow["which"] == {**ALL, "subscription": "s", "redriven": False}


@pytest.mark.parametrize("act", ["redrive", "discard"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ids": []}, "ids"),
        ({"ids": "x"}, "ids"),
        ({"ids": [5]}, "ids.0"),
        ({"ids": ["x"]}, "ids"),
        ({"ids": ["\0"]}, "ids"),
        ({"ids": [NO_ID] * (IDS_MAX_COUNT + 1)}, "ids"),
        ({"ids": [NO_ID], "reason": "bad"}, "reason"),
        ({"ids": [NO_ID], "q": ""}, "q"),
        ({"ids": [NO_ID], "subscription": ""}, "subscription"),
        ({"rate_per_s": 0}, "rate_per_s"),
        ({"rate_per_s": 0.009}, "rate_per_s"),
        ({"rate_per_s": 10_001}, "rate_per_s"),
        ({"max_count": 100_001}, "max_count"),
        ({"dry_run": "yes"}, "dry_run"),
    ],
)
async def test_a_job_with_a_fault_is_refused_by_field(api: Api, act, body, field):
    await api.die("t", subscription="s")
    answer = await api.send("POST", f"/api/dlq/{act}", content=json.dumps(body))
    refused(answer, 400, "invalid_request", field)
    refused(await api.send("POST", f"/api/dlq/{act}"), 400, "malformed_json")
    assert [one["redriven_at"] for one in await letters(api)] == [None]


async def test_a_discard_says_which_of_the_two_kinds_beside_a_filter_and_not_beside_ids(api: Api):
    for body in ({"redriven": "true"}, {"ids": [NO_ID], "redriven": True}):
        answer = await api.send("POST", "/api/dlq/discard", content=json.dumps(body))
        refused(answer, 400, "invalid_request", "redriven")
