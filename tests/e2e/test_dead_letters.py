"""Dead letters over REST: list, filter, page, get, discard, redrive one and many."""

import datetime as dt
from contextlib import suppress

import pytest

from tests.support.http import accepted
from tests.support.wait import until
from tests.support.ws import NoFrame, payloads

NO_SUCH_ID = "00000000-0000-7000-8000-000000000000"


def kill_deliveries(ws, api, topic, name, values, reason="broken"):
    """Reject every value on the subscription; returns the dead letters, oldest first."""
    ws.subscribe(topic, subscription=name, ack_wait_ms=60_000)
    api.publish_many(topic, values)
    for frame in ws.messages(len(values)):
        ws.request("reject", message_id=frame["message_id"], reason=reason)
    letters = api.dead_letters(topic=topic, subscription=name, limit=500)
    assert payloads(reversed(letters)) == values
    return letters[::-1]


def test_a_dead_letter_has_all_its_fields(api, ws, topic, name):
    (dead,) = kill_deliveries(ws, api, topic, name, [{"n": 1}])
    assert {
        "id",
        "message_id",
        "topic",
        "seq",
        "subscription",
        "attempts",
        "reason",
        "died_at",
        "payload",
    } <= dead.keys()
    assert (dead["topic"], dead["seq"], dead["subscription"]) == (topic, 1, name)
    assert dead.get("redriven_at") is None
    dt.datetime.fromisoformat(dead["died_at"])
    assert accepted(api.get(f"/api/dlq/{dead['id']}")) == dead


def test_dead_letters_are_counted_per_subscription(api, ws, topic, name):
    kill_deliveries(ws, api, topic, name, [1, 2, 3])
    assert api.subscription(name)["dead_count"] == 3
    assert api.subscription(name)["topics"][0]["floor"] == 3, "a dead delivery is settled"


def test_filters_restrict_what_is_listed(api, ws, connect, topic, name):
    kill_deliveries(ws, api, topic, name, [1, 2], reason="first reason")
    (other,) = kill_deliveries(
        connect(), api, f"{topic}.b", f"{name}-b", [{"needle": 3}], reason="x"
    )
    assert len(api.dead_letters(topic=topic)) == 2
    assert payloads(api.dead_letters(subscription=f"{name}-b")) == [{"needle": 3}]
    assert len(api.dead_letters(topic=topic, reason="first reason")) == 2
    assert api.dead_letters(topic=topic, reason="another") == []
    assert payloads(api.dead_letters(topic=f"{topic}.b", q="needle")) == [{"needle": 3}]
    assert api.dead_letters(topic=f"{topic}.b", q="haystack") == []
    died = dt.datetime.fromisoformat(other["died_at"])
    hour = dt.timedelta(hours=1)
    assert api.dead_letters(subscription=f"{name}-b", from_time=(died + hour).isoformat()) == []
    assert api.dead_letters(subscription=f"{name}-b", to_time=(died - hour).isoformat()) == []
    around = {"from_time": (died - hour).isoformat(), "to_time": (died + hour).isoformat()}
    assert len(api.dead_letters(subscription=f"{name}-b", **around)) == 1


def test_pages_follow_each_other_without_overlap(api, ws, topic, name):
    kill_deliveries(ws, api, topic, name, list(range(7)))
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = accepted(api.get("/api/dlq", topic=topic, limit=3, cursor=cursor))
        assert len(page["dead_letters"]) <= 3
        seen += payloads(page["dead_letters"])
        cursor, pages = page["next"], pages + 1
    assert seen == list(range(7))[::-1]
    assert pages == 3


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 501}, {"limit": "x"}, {"cursor": "%%%"}, {"from_time": "noon"}],
    ids=str,
)
def test_a_bad_query_is_refused_and_named(api, query):
    refused = api.get("/api/dlq", **query)
    assert (refused.status, refused.code) == (400, "invalid_request")
    (field,) = query
    assert refused.json["field"] == field


def test_an_unknown_dead_letter_is_404_everywhere(api):
    for answer in (
        api.get(f"/api/dlq/{NO_SUCH_ID}"),
        api.delete(f"/api/dlq/{NO_SUCH_ID}"),
        api.post(f"/api/dlq/{NO_SUCH_ID}/redrive"),
    ):
        assert (answer.status, answer.code) == (404, "dead_letter_not_found")
    assert api.get(f"/api/dlq/jobs/{NO_SUCH_ID}").code == "job_not_found"
    assert api.delete(f"/api/dlq/jobs/{NO_SUCH_ID}").code == "job_not_found"


def test_a_discarded_dead_letter_is_gone(api, ws, topic, name):
    one, two = kill_deliveries(ws, api, topic, name, [1, 2])
    assert api.delete(f"/api/dlq/{one['id']}").status == 204
    assert api.get(f"/api/dlq/{one['id']}").status == 404
    assert [dead["id"] for dead in api.dead_letters(topic=topic)] == [two["id"]]


def test_a_redriven_delivery_comes_again_on_its_subscription_only(api, ws, connect, topic, name):
    (dead,) = kill_deliveries(ws, api, topic, name, ["again"])
    others = [connect(), connect()]
    others[0].subscribe(topic)
    others[1].subscribe(topic, subscription=f"{name}-other")
    answer = api.post(f"/api/dlq/{dead['id']}/redrive")
    assert 200 <= answer.status < 300
    frame = ws.receive("message")
    assert (frame["message_id"], frame["seq"]) == (dead["message_id"], dead["seq"])
    assert (frame["attempt"], frame["payload"]) == (1, "again")
    ws.ack(frame)
    for other in others:
        other.nothing(0.1, "message")
    kept = api.get(f"/api/dlq/{dead['id']}")
    assert kept.status == 404 or kept.json["redriven_at"] is not None


def test_a_redriven_delivery_waits_for_a_subscriber(api, ws, connect, topic, name):
    (dead,) = kill_deliveries(ws, api, topic, name, ["again"])
    ws.request("unsubscribe", topic=topic, subscription=name)
    assert 200 <= api.post(f"/api/dlq/{dead['id']}/redrive").status < 300
    again = api.post(f"/api/dlq/{dead['id']}/redrive")
    assert (again.status, again.code) == (409, "already_redriven")
    later = connect()
    later.subscribe(topic, subscription=name)
    assert later.receive("message")["payload"] == "again"


def test_a_redriven_delivery_may_die_again(api, ws, topic, name):
    (dead,) = kill_deliveries(ws, api, topic, name, ["again"])
    api.post(f"/api/dlq/{dead['id']}/redrive")
    frame = ws.receive("message")
    ws.request("reject", message_id=frame["message_id"], reason="still broken")
    (again,) = api.dead_letters(topic=topic, subscription=name)
    assert again["reason"] == "still broken"


def test_redriving_to_a_deleted_subscription_is_refused(api, ws, topic, name):
    (dead,) = kill_deliveries(ws, api, topic, name, ["again"])
    ws.request("unsubscribe", topic=topic, subscription=name)
    assert api.delete(f"/api/subscriptions/{name}").status == 204
    refused = api.post(f"/api/dlq/{dead['id']}/redrive")
    assert refused.status in (404, 409)
    assert len(api.dead_letters(topic=topic)) == 1, "nothing is lost by the refusal"


def test_a_dead_letter_of_an_ephemeral_subscriber_is_published_anew(api, ws, connect, topic):
    ws.subscribe(topic, ack_wait_ms=60_000)
    api.publish(topic, {"n": 1}, key="k", headers={"h": "v"})
    ws.request("reject", message_id=ws.receive("message")["message_id"])
    (dead,) = until(lambda: api.dead_letters(topic=topic))
    other = connect()
    other.subscribe(topic)
    assert 200 <= api.post(f"/api/dlq/{dead['id']}/redrive").status < 300
    frame = other.receive("message")
    assert (frame["payload"], frame["key"], frame["headers"]) == ({"n": 1}, "k", {"h": "v"})
    assert frame["seq"] == 2


def test_a_dead_letter_outlives_its_message_in_the_log_and_is_not_lost_by_a_redrive(
    api, ws, topic, name
):
    api.create_topic(topic, max_messages=5)
    (dead,) = kill_deliveries(ws, api, topic, name, ["keep me"])
    for _ in range(2):
        api.publish_many(topic, list(range(1000)))
    until(lambda: api.topic(topic)["first_seq"] > 1900)
    ws.request("unsubscribe", topic=topic, subscription=name)
    assert api.get(f"/api/dlq/{dead['id']}").json["payload"] == "keep me"
    answer = api.post(f"/api/dlq/{dead['id']}/redrive")
    if answer.status < 300:
        ws.subscribe(topic, subscription=name)
        assert ws.receive("message", payload="keep me")
    else:
        assert answer.status == 409
        assert api.get(f"/api/dlq/{dead['id']}").json["payload"] == "keep me"


def test_dead_letters_stay_when_their_topic_is_deleted(api, ws, topic, name):
    (dead,) = kill_deliveries(ws, api, topic, name, ["keep me"])
    assert api.delete(f"/api/topics/{topic}").status == 204
    assert api.get(f"/api/dlq/{dead['id']}").json["payload"] == "keep me"
    refused = api.post(f"/api/dlq/{dead['id']}/redrive")
    assert refused.status in (404, 409)
    assert api.get(f"/api/dlq/{dead['id']}").status == 200


def redrive_many(api, **body):
    answer = api.post("/api/dlq/redrive", body)
    assert 200 <= answer.status < 300, answer
    return answer.json


def job_of(api, job):
    identity = job.get("id") or job["job_id"]
    return accepted(api.get(f"/api/dlq/jobs/{identity}"))


def test_a_redrive_job_brings_all_that_match_and_reports_progress(api, ws, topic, name):
    kill_deliveries(ws, api, topic, name, list(range(12)))
    job = redrive_many(api, topic=topic, subscription=name, rate_per_s=1000)
    assert sorted(payloads(ws.messages(12))) == list(range(12))
    done = until(lambda: (now := job_of(api, job))["state"] == "done" and now)
    assert (done["matched_count"], done["redriven_count"], done["failed_count"]) == (12, 12, 0)


def test_a_redrive_job_keeps_its_maximum(api, ws, topic, name):
    kill_deliveries(ws, api, topic, name, list(range(8)))
    redrive_many(api, topic=topic, max_count=3, rate_per_s=1000)
    ws.messages(3)
    ws.nothing(0.3, "message")


def test_a_redrive_job_keeps_its_rate_and_can_be_cancelled(api, ws, topic, name):
    kill_deliveries(ws, api, topic, name, list(range(100)))
    job = redrive_many(api, topic=topic, rate_per_s=20)
    ws.messages(3)
    identity = job.get("id") or job["job_id"]
    assert 200 <= api.delete(f"/api/dlq/jobs/{identity}").status < 300
    state = job_of(api, job)
    assert state["state"] == "cancelled"
    came_count = 3
    # What was under way then comes, and counts.
    with suppress(NoFrame):
        while ws.receive("message", 0.5):
            came_count += 1
    assert job_of(api, job)["redriven_count"] == came_count < 60


def test_a_dry_run_says_how_many_and_changes_nothing(api, ws, topic, name):
    kill_deliveries(ws, api, topic, name, [1, 2, 3])
    assert redrive_many(api, topic=topic, dry_run=True)["matched_count"] == 3
    ws.nothing(0.2, "message")
    assert len(api.dead_letters(topic=topic)) == 3


def test_a_discard_job_deletes_what_was_chosen_and_then_all_that_matches(api, ws, topic, name):
    dead = kill_deliveries(ws, api, topic, name, list(range(12)))
    chosen = {"ids": [dead[0]["id"], dead[5]["id"], NO_SUCH_ID], "topic": topic}
    for body, left in (
        (chosen, 10),
        ({"topic": topic, "redriven": True}, 10),
        ({"topic": topic}, 0),
    ):
        job = accepted(api.post("/api/dlq/discard", body))
        done = until(lambda job=job: (now := job_of(api, job))["state"] == "done" and now)
        assert done["discarded_count"] == done["matched_count"]
        assert len(api.dead_letters(topic=topic)) == left
    assert api.subscription(name)["dead_count"] == 0


@pytest.mark.parametrize("body", [{"rate_per_s": 0}, {"max_count": 0}, {"colour": "red"}], ids=str)
def test_a_bad_redrive_request_is_refused_and_named(api, body):
    refused = api.post("/api/dlq/redrive", body)
    (field,) = body
    assert refused.status == 400
    assert refused.json["field"] == field


def test_what_died_after_retention_took_its_message_is_a_letter_that_cannot_be_redriven(
    api, ws, topic, name
):
    api.create_topic(topic, max_messages=1)
    ws.subscribe(topic, subscription=name, max_in_flight=1, ack_wait_ms=60_000)
    api.publish_many(topic, [1, 2, 3])
    taken = ws.receive("message")
    until(lambda: api.topic(topic)["first_seq"] == 3)
    ws.request("reject", message_id=taken["message_id"], reason="too late")
    (dead,) = accepted(api.get("/api/dlq", topic=topic))["dead_letters"]
    assert (dead["seq"], dead["reason"], dead["payload_lost"]) == (1, "too late", True)
    refused = api.post(f"/api/dlq/{dead['id']}/redrive")
    assert (refused.status, refused.code) == (409, "payload_lost")


def test_a_letter_of_a_topic_that_was_deleted_cannot_be_redriven(api, ws, topic, name):
    (dead,) = kill_deliveries(ws, api, topic, name, [1])
    ws.close()
    assert api.delete(f"/api/topics/{topic}").status == 204
    refused = api.post(f"/api/dlq/{dead['id']}/redrive")
    assert (refused.status, refused.code) == (409, "letter_topic_gone")
