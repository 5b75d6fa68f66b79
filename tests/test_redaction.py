"""No secret survives, wherever it stands."""

import json
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit import redaction
from conduit.client.place import find
from conduit.protocol.frames import Auth
from conduit.protocol.records import KeyAnswer, KeyCreated, TicketAnswer, TokenAnswer
from conduit.redaction import redacted, redacted_value
from conduit.tenancy.accounts import WithSecret
from conduit.tenancy.keys import NewKey
from conduit.tenancy.opening import AuthOptions
from tests.support.credentials import BASE62, api_keys, hidden, tickets, tokens

KEY = "ck_live_Ab3dEf7h_0123456789abcdefghijklmnopqrstuvWXYZ12"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLWl0"
TICKET = "ct_0123456789abcdefghijklmnopqrstuv"

credentials = st.one_of(api_keys(), tokens(), tickets())
# What a header may hold, up to what ends a word in a line.
values = st.text(
    "".join(sorted(set(string.printable) - set(string.whitespace) - set("\"'\\,;&<>()[]{}…"))),
    min_size=4,
    max_size=40,
)
# Whatever stands around it, but letters that would make a ticket's beginning the end of another word.
around = st.text(max_size=30).map(
    lambda text: text if text[-1:] not in string.ascii_letters else text + " "
)


def percent_encoded(text: str) -> str:
    """Every character, also those that need none."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


def each_escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


# How a text gets into a line.
SPELLED = {
    "plain": str,
    "repr": repr,
    "bytes": lambda text: repr(text.encode(errors="replace")),
    "json": json.dumps,
    "json in json": lambda text: json.dumps({"body": json.dumps({"a": text})}),
    "repr in json": lambda text: json.dumps({"body": repr([text])}),
    "percent": percent_encoded,
    "percent twice": lambda text: quote(percent_encoded(text)),
    "url": lambda text: f"http://localhost:8080/ws?{quote(text, safe='', errors='replace')}#x",
    "hex": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode(errors="replace")),
    "json escapes": each_escaped,
    "json escapes in json": lambda text: json.dumps(each_escaped(text)),
}


@pytest.fixture(autouse=True)
def nothing_known():
    before = redaction.known()
    redaction.forget()
    yield
    redaction.forget()
    redaction.know(*before)


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
@given(credential=credentials, before=around, after=st.text(max_size=30))
def test_a_credential_is_hidden_wherever_it_stands(spelled, credential, before, after):
    if spelled in (
        SPELLED["percent"],
        SPELLED["percent twice"],
        SPELLED["hex"],
        SPELLED["json escapes"],
    ):
        # What stands around in clear.
        line = before + spelled(credential) + after
    else:
        line = spelled(before + credential + after)
    shown = redacted(line)
    assert hidden(credential) not in shown
    assert spelled(hidden(credential)) not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (KEY, "ck_live_Ab3dEf7h_…"),
        (f"key {KEY}, and more", "key ck_live_Ab3dEf7h_…, and more"),
        (f"{KEY[:30]}", "ck_live_Ab3dEf7h_…"),
        ("ck_live_0123456789abcdef", "ck_live_…"),
        (TOKEN, "eyJ…"),
        (TOKEN[:20], "eyJ…"),
        (f"GET /ws?ticket={TICKET}&a=1", "GET /ws?ticket=…&a=1"),
        ("GET /ws?ticket=short&a=1", "GET /ws?ticket=…&a=1"),
        ("Authorization: Bearer abc", "Authorization: …"),
        ("X-API-Key: abc def", "X-API-Key: …"),
        ('"x-internal-secret": "abc", "a": 1', '"x-internal-secret": "…", "a": 1'),
        (
            "[(b'authorization', b'Bearer abc'), (b'a', b'b')]",
            "[(b'authorization', b'…'), (b'a', b'b')]",
        ),
        ("{'Authorization': 'Bearer \"a\\'b'}", "{'Authorization': '…'}"),
        (r'"{\"token\": \"a b\", \"c\": 1}"', r'"{\"token\": \"…\", \"c\": 1}"'),
        ("token=authorization: abc", "token=… …"),
        ("Authorization: token='abc def'", "Authorization: …'…'"),
        ("bearer X-Internal-Secret: abc", "bearer … …"),
        ("ct_0123456789abcdefghX-API-Key: abc", "ct_…: …"),
        ("Auth(token='abc')", "Auth(token='…')"),
        ("sent Bearer correct-horse-battery-staple.", "sent Bearer …"),
        ("postgresql://u:p%40ss@db:5432/x", "postgresql://u:…@db:5432/x"),
        ("postgresql://u:p/s?s@s@db/x", "postgresql://u:…@db/x"),
        ("http://u:pass@proxy:3128", "http://u:…@proxy:3128"),
        ("redis://:pass@r/0 and redis://:word@s/1", "redis://:…@r/0 and redis://:…@s/1"),
        ("postgresql://h/d?user=u&password=abc&x=1", "postgresql://h/d?user=u&password=…&x=1"),
        ("INTERNAL_SECRET=abc PORT=1", "INTERNAL_SECRET=… PORT=1"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIabc/+=\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----…-----END PRIVATE KEY-----",
        ),
    ],
)
def test_what_is_hidden_and_what_stays(text, shown):
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "listening on http://127.0.0.1:8080, log in /var/lib/conduit/conduit.db",
        "DATABASE_URL must be postgresql://user:password@host:port/database",
        "connect_timeout_s, direct_subscription_settings and expect_payloads_of_everybody",
        "unexpected token at byte 3",
        "the token expired; ticket: none; secret: see above",
        "neither Authorization nor X-API-Key is given",
        "write Authorization before it",
        "a basic authentication is not known",
        "100 % of 3 %d and C:\\x",
        "GET /api/topics/a%20b?cursor=eyJ",
        "key abcdefgh of the tenant default",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text):
    assert redacted(text) == text


@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "X-Internal-Secret"])
@pytest.mark.parametrize(
    "form",
    [
        "{0}: {1}",
        "{0}={1}",
        "{0}: Bearer {1}",
        "('{0}', '{1}')",
        "(b'{0}', b'{1}')",
        '{{"{0}": "{1}"}}',
        "{{'{0}': '{1}'}}",
        '{{\\"{0}\\":\\"{1}\\"}}',
    ],
)
@given(value=values, before=st.text(max_size=20), after=st.text(max_size=20))
def test_what_a_secret_header_holds_is_hidden_whatever_it_is(header, form, value, before, after):
    # What stands around it may be the same by chance.
    value = f"Zq{value}"
    shown = redacted(f"{before} {form.format(header, value)} {after}")
    assert shown.count(value) <= (before + after).count(value)


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
@given(secret=st.text(min_size=16, max_size=40), before=st.text(max_size=20))
def test_a_secret_that_is_known_is_hidden_whatever_it_is(spelled, secret, before):
    if spelled in (SPELLED["hex"], SPELLED["json escapes"], SPELLED["json escapes in json"]):
        # Nobody writes so what is no ASCII.
        secret = secret.encode("ascii", "replace").decode()
    secret = secret.encode(errors="replace").decode()
    redaction.know(secret)
    shown = redacted(f"{before}{spelled(secret)}")
    redaction.forget()
    assert spelled(secret) not in shown


def test_a_word_is_not_known_as_a_secret_and_the_oldest_are_forgotten():
    redaction.know("postgres")
    assert redacted("postgres") == "postgres"
    secrets = [f"secret number {number:04}" for number in range(redaction.KNOWN_MAX_COUNT + 1)]
    redaction.know(*secrets)
    assert redaction.known() == secrets[1:]


def test_one_secret_that_begins_another_leaves_nothing_of_it():
    redaction.know("correct horse", "correct horse battery")
    assert redacted("correct horse battery, correct horse") == "…, …"


def test_fields_are_hidden_by_their_names_and_by_what_they_hold():
    given = {
        "event": f"{KEY} failed",
        "authorization": "Bearer x",
        "api_key": "x",
        "nested": [{"password": "x", "deep": (KEY, 1)}],
        "frame": Auth(token="abc"),
        "bytes": KEY.encode(),
        "error": ValueError(KEY),
        "count": 3,
        "is_open": True,
        "topic": "t",
    }
    assert redacted_value(given) == {
        "event": "ck_live_Ab3dEf7h_… failed",
        "authorization": "…",
        "api_key": "…",
        "nested": [{"password": "…", "deep": ["ck_live_Ab3dEf7h_…", 1]}],
        "frame": given["frame"],
        "bytes": "b'ck_live_Ab3dEf7h_…'",
        "error": "ValueError('ck_live_Ab3dEf7h_…')",
        "count": 3,
        "is_open": True,
        "topic": "t",
    }


def test_a_field_that_holds_itself_comes_to_an_end():
    looped = []
    looped.append(looped)
    assert "…" in repr(redacted_value(looped))


KEY_FIELDS = dict.fromkeys(KeyAnswer.__struct_fields__)


@pytest.mark.parametrize(
    "record",
    [
        Auth("abc"),
        TokenAnswer("abc", "2026"),
        TicketAnswer("abc", "2026"),
        KeyCreated(**KEY_FIELDS, key="abc"),
        NewKey("id", "abc"),
        WithSecret(None, "abc"),
        AuthOptions(default_key="abc", pepper="abc"),
        find("http://abc:abc@events.example"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_records_with_a_secret_do_not_show_it(record):
    assert "abc" not in repr(record)


PIECES = [
    "postgres://a:",
    "://a:",
    "authorization:'",
    'token=\\"',
    '"token": "',
    "bearer a",
    "eyJ",
    "ct_",
]
PIECES += [
    "-----BEGIN PRIVATE KEY-----",
    "%41",
    "\\\\u0041",
    "\\",
    "x-api-key,'",
    "%25",
    " ",
    "ck_live_",
]


@pytest.mark.parametrize("piece", PIECES)
def test_no_text_takes_long(piece):
    """What a client sent may be in it. Where the time grows with the square of a text, this takes minutes."""
    began = time.process_time()
    redacted("token='" + piece * (200_000 // len(piece)) + "@%41")
    assert time.process_time() - began < 5


@given(text=st.text(BASE62 + " %\\'\"=:;/@_-.…\n{}[]", max_size=200))
def test_any_text_can_be_asked_about(text):
    assert isinstance(redacted(text), str)
