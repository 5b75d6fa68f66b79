"""Text that one store could keep or look for and another could not: all refuse it alike."""

import base64

import pytest

from tests.support.ws import Refused

NUL = "a\0b"


def problem(answer) -> tuple[int, str, str | None]:
    return answer.status, answer.json["code"], answer.json.get("field")


@pytest.mark.parametrize("field", ["key", "idempotency_key"])
def test_a_key_may_not_have_the_character_zero(api, topic, field):
    api.create_topic(topic)
    message = {"topic": topic, "payload": 1, field: NUL}
    assert problem(api.post("/api/publish", message)) == (400, "invalid_request", field)
    where = (400, "invalid_request", f"messages[0].{field}")
    assert problem(api.post("/api/publish/batch", {"messages": [message]})) == where
    assert api.publish(topic, "a\0b", headers={"a": NUL})["seq"] == 1


@pytest.mark.parametrize("field", ["topic", "subscription", "reason", "q"])
def test_what_cannot_be_stored_is_not_looked_for(api, field):
    answer = api.get("/api/dlq", **{field: NUL})
    assert problem(answer) == (400, "invalid_request", field)
    answer = api.post("/api/dlq/redrive", {field: NUL, "dry_run": True})
    assert problem(answer) == (400, "invalid_request", field)


def test_an_id_that_cannot_be_one_is_that_of_nothing(api):
    for path, code in (("dlq", "dead_letter_not_found"), ("messages", "message_not_found")):
        assert problem(api.get(f"/api/{path}/a%00")) == (404, code, None)
    assert problem(api.delete("/api/dlq/%00")) == (404, "dead_letter_not_found", None)
    assert problem(api.post("/api/dlq/%00/redrive")) == (404, "dead_letter_not_found", None)
    cursor = base64.urlsafe_b64encode(b"dead_letters:\0").decode().rstrip("=")
    assert problem(api.get("/api/dlq", cursor=cursor)) == (400, "invalid_request", "cursor")


def test_a_reason_may_not_have_the_character_zero_and_an_ack_of_no_id_is_of_nothing(api, ws, topic):
    ws.subscribe(topic, subscription=topic)
    api.publish(topic, 1)
    message_id = ws.receive("message")["message_id"]
    for verb in ("reject", "nack"):
        with pytest.raises(Refused) as refused:
            ws.request(verb, message_id=message_id, reason=NUL)
        assert (refused.value.code, refused.value.frame["field"]) == ("invalid_request", "reason")
    with pytest.raises(Refused) as refused:
        ws.request("ack", message_id=NUL)
    assert refused.value.code == "unknown_delivery"
    ws.request("ack", message_id=message_id)
