import json

import pytest

from conduit.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    RequestError,
    StateError,
    StoreDataError,
)
from conduit.protocol.codes import CODES
from conduit.protocol.records import Receipt
from conduit.server.answers import (
    Answers,
    problem,
    problem_headers,
    request_id,
)
from conduit.server.origins import Origins

RECEIPT = Receipt("01-a", "orders.created", 3, "2026-02-23T10:30:00.007Z", 12, "e1", True, False)
FIELDS = {
    "message_id": "01-a",
    "topic": "orders.created",
    "subscribers": 3,
    "published_at": "2026-02-23T10:30:00.007Z",
    "seq": 12,
    "epoch": "e1",
    "durable": True,
    "duplicate": False,
}


def parse(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    assert int(headers["content-length"]) == len(body)
    return first, headers, body


def test_the_answer_to_a_publish_is_whole():
    answers = Answers(Origins())
    answers.stamp([(b"date", b"now")])
    first, headers, body = parse(answers.receipt(RECEIPT))
    assert first == "HTTP/1.1 200 OK"
    assert headers["content-type"] == "application/json"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["date"] == "now"
    assert "connection" not in headers
    assert "vary" not in headers
    assert list(json.loads(body).items()) == list(FIELDS.items())


def test_no_answer_is_kept_by_a_cache_or_taken_for_something_else():
    answers = Answers(Origins())
    for answer in (answers.receipt(RECEIPT), answers.problem(Overloaded("full"), "r1", "close")):
        _, headers, _ = parse(answer)
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_the_last_answer_says_so():
    answers = Answers(Origins())
    assert "connection" not in parse(answers.success({}, None))[1]
    for said in ("close", "keep-alive"):
        assert parse(answers.success({}, said))[1]["connection"] == said
    error = answers.problem(NotFound("x"), "id", "close")
    assert parse(error)[1]["connection"] == "close"


def test_an_origin_is_named_and_caches_are_told():
    answers = Answers(Origins("https://a.example,https://b.example"))
    for origin in ("https://a.example", "https://b.example", "https://evil.example", None):
        for answer in (
            answers.receipt(RECEIPT, origin),
            answers.success({}, "close", origin),
            answers.problem(Overloaded("full"), "r1", None, origin),
        ):
            _, headers, _ = parse(answer)
            is_named = origin in ("https://a.example", "https://b.example")
            allowed = headers.get("access-control-allow-origin")
            assert allowed == (origin if is_named else None)
            assert headers["vary"] == "Origin"


def test_a_newer_date_replaces_the_older():
    answers = Answers(Origins())
    answers.stamp([(b"date", b"one")])
    answers.stamp([(b"date", b"two")])
    assert parse(answers.receipt(RECEIPT))[1]["date"] == "two"


# Problems -----------------------------------------------------------------------------------------


def test_a_problem_has_the_members_of_rfc_9457_and_ours():
    status, body = problem(InvalidRequest("no such colour", field="colour"), "r1")
    assert status == 400
    assert body == {
        "type": "urn:conduit:problem:invalid_request",
        "title": CODES["invalid_request"].title,
        "status": 400,
        "code": "invalid_request",
        "detail": "no such colour",
        "field": "colour",
        "request_id": "r1",
        "error": "no such colour",
    }


@pytest.mark.parametrize("code", CODES)
def test_every_code_makes_an_answer_with_its_status(code):
    error = RequestError("what happened", code=code)
    first, headers, body = parse(Answers(Origins()).problem(error, "r1", None))
    status = CODES[code].status
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == "r1"
    content = json.loads(body)
    assert (content["code"], content["status"]) == (code, status)
    assert content["error"] == content["detail"]
    assert "field" not in content


def test_a_problem_repeats_no_more_of_a_request_than_a_person_reads():
    sent = "x" * 300_000
    _, body = problem(InvalidRequest(f"unknown field {sent!r}", field=sent), "r1")
    assert len(json.dumps(body)) < 3_000
    assert str(body["detail"]).startswith("unknown field 'xxx")
    _, body = problem(InvalidRequest("unknown field", field="\ud800"), "r1")
    assert body["field"] == "?"


@pytest.mark.parametrize(
    "error", [StateError("secret"), StoreDataError("secret", code="no_such_code")]
)
def test_the_servers_own_faults_say_nothing_of_themselves(error):
    status, body = problem(error, "r1")
    assert (status, body["code"]) == (500, "internal")
    assert "secret" not in json.dumps(body)


@pytest.mark.parametrize(("after_s", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (2.1, "3")])
def test_retry_after_is_whole_seconds_and_at_least_one(after_s, header):
    error = Overloaded("full", retry_after_s=after_s)
    assert problem_headers(error, "r1")["retry-after"] == header


def test_426_says_what_would_have_been_understood():
    headers = problem_headers(InvalidRequest("no", code="upgrade_required"), "r1")
    assert (headers["upgrade"], headers["sec-websocket-version"]) == ("websocket", "13")


# Request ids --------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["a", "x" * 128, "req-1.2:3/4_5", "00-4bf92f35-00"])
def test_a_harmless_request_id_is_kept(given):
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", 'a"b', "a\nb", "ä", "a,b", "<a>"])
def test_any_other_request_id_is_replaced(given):
    ids = {request_id(given) for _ in range(100)}
    assert len(ids) == 100
    assert given not in ids
    assert all(request_id(each) == each for each in ids)


KEY = "ck_live_Ab3dEf7h_0123456789abcdefghijklmnopqrstuvWXYZ12"


@pytest.mark.parametrize("place", [0, 480, 1_990])
def test_a_problem_does_not_repeat_a_secret_that_came_in_a_wrong_place(place):
    detail = "a" * place + f" unknown field {KEY!r}"
    _, body = problem(InvalidRequest(detail, field=f"a.{KEY}"), "id")
    assert "0123" not in json.dumps(body)
    assert body["field"] == "a.ck_live_Ab3dEf7h_…"


def test_a_secret_is_no_request_id():
    assert request_id(KEY) != KEY
    assert request_id("ck-1") == "ck-1"
