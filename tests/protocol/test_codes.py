import ast
import inspect
import re
from pathlib import Path

import pytest

import conduit
from conduit import errors
from conduit.errors import ConduitError, Unavailable
from conduit.protocol import codes
from conduit.protocol.codes import CODES

# RFC 6455 §7.4.1 and the IANA registry: codes that may be sent in a close frame.
REGISTERED_CLOSE_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}
OWN_CLOSE_CODES = range(4000, 5000)
RECONNECT_CLOSE_CODES = range(4000, 4500)

EXCEPTIONS = [
    one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, ConduitError)
]


# Errors of the client and the command line stay in their process: their codes never reach the wire.
LOCAL_PACKAGES = {"client", "load", "cli"}


def codes_in(tree):
    """Every string that is given as `code=` in a call or stands as `code = ` in a class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            values = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
            values = [node.value]
        else:
            continue
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value, value.lineno


def codes_that_reach_the_wire(*places):
    root = Path(conduit.__file__).parent
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        is_meant = not places or place.as_posix().startswith(places)
        if place.parts[0] not in LOCAL_PACKAGES and is_meant:
            for code, line in codes_in(ast.parse(path.read_text())):
                yield code, f"{place}:{line}"


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda one: one.__name__)
def test_every_exceptions_own_code_is_in_the_table(exception):
    assert exception.code in CODES


def test_every_code_that_is_raised_is_in_the_table():
    found = list(codes_that_reach_the_wire())

    assert {"topic_not_found", "malformed_json", "store_unavailable"} <= {code for code, _ in found}
    assert [(code, place) for code, place in found if code not in CODES] == []


@pytest.mark.parametrize("name", CODES)
def test_a_code_is_a_word_with_a_title_and_a_status_that_is_an_error(name):
    code = CODES[name]

    assert name.isidentifier()
    assert name == name.lower()
    assert code.title
    assert not code.title.endswith(".")
    assert 400 <= code.status <= 599


@pytest.mark.parametrize("name", CODES)
def test_a_client_error_that_may_be_retried_is_about_time_or_place(name):
    code = CODES[name]

    if code.status == 503:
        assert code.retryable
    elif code.status >= 500:
        assert not code.retryable
    elif code.retryable:
        assert code.status in (408, 429) or code.close in RECONNECT_CLOSE_CODES


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda one: one.__name__)
def test_unavailable_and_what_is_under_it_may_be_retried_and_nothing_else(exception):
    code = CODES[exception.code]

    assert code.retryable == issubclass(exception, Unavailable)
    assert (code.status in (429, 503)) == issubclass(exception, Unavailable)


@pytest.mark.parametrize("name", [name for name, code in CODES.items() if code.close is not None])
def test_a_close_code_may_be_sent_and_its_range_says_whether_to_come_back(name):
    code = CODES[name]

    assert code.close in REGISTERED_CLOSE_CODES or code.close in OWN_CLOSE_CODES
    if code.close in OWN_CLOSE_CODES:
        assert code.retryable == (code.close in RECONNECT_CLOSE_CODES)


def test_no_two_close_codes_have_the_same_number():
    numbers = [value for name, value in vars(codes).items() if name.startswith("CLOSE_")]

    assert len(numbers) == len(set(numbers))
    assert all(number in REGISTERED_CLOSE_CODES or number in OWN_CLOSE_CODES for number in numbers)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("malformed_json", 400),
        ("invalid_request", 400),
        ("invalid_topic", 400),
        ("topic_not_found", 404),
        ("topic_exists", 409),
        ("payload_too_large", 413),
    ],
)
def test_the_statuses_of_the_original_api_are_kept(name, status):
    assert CODES[name].status == status


DOCS = Path(__file__).parents[2] / "docs"
# What answers frames, besides what the store and publishing raise.
OF_FRAMES = ("server/session.py", "server/watched_socket.py", "broker/attach", "protocol/faults.py")
# Refused with a close code that is not the code's own (`Session.refuse`).
ENDING = {"request_timeout"}


def told_of_frames():
    rows = (DOCS / "websocket.md").read_text().partition("## Errors\n")[2].splitlines()
    told = {}
    for row in rows:
        if row.startswith("| `"):
            names, again = [cell.strip() for cell in row.split("|")[1:3]]
            told |= {name.strip("` "): again == "yes" for name in names.split(",")}
    return told


def test_the_errors_in_the_docs_are_those_of_the_table():
    told = told_of_frames()
    assert len(told) > 15
    assert told == {code: CODES[code].retryable for code in told}


def test_what_a_frame_is_answered_with_is_in_the_docs():
    found = {code for code, _ in codes_that_reach_the_wire(*OF_FRAMES)}
    assert {"request_timeout", "unknown_frame_type", "stale_attempt"} <= found
    # Of starts and pages, which HTTP has too.
    assert found - told_of_frames().keys() == set()


def test_the_docs_name_the_errors_after_which_a_connection_ends():
    text = " ".join((DOCS / "websocket.md").read_text().split())
    (sentence,) = re.findall(r"The connection ends after (.*?), and after the `overloaded`", text)
    told = set(re.findall(r"`(\w+)`", sentence))
    assert told == ENDING | {code for code in told_of_frames() if CODES[code].close is not None}


def test_every_code_that_is_raised_is_in_the_docs():
    pages = "".join((DOCS / name).read_text() for name in ("http-api.md", "websocket.md"))
    raised = {code for code, _ in codes_that_reach_the_wire()} - {"config", "unavailable"}
    assert {code for code in raised if f"`{code}`" not in pages} == set()


def test_the_table_of_what_any_endpoint_may_answer_has_the_statuses():
    section = (DOCS / "http-api.md").read_text().partition("## Errors\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", section, re.MULTILINE))
    assert rows == {code: str(CODES[code].status) for code in rows}
    # What is raised at the edge, whatever is asked for.
    edge = {
        code
        for code, place in codes_that_reach_the_wire("server/")
        if not place.startswith(("server/rest", *OF_FRAMES))
    }
    assert {"unsupported_media_type", "headers_too_large"} <= edge
    assert edge - rows.keys() == set()
