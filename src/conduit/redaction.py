"""Secrets leave no trace: what is logged, and what is answered in an error, passes through here.

By pattern: what looks like a credential of ours (API keys, tokens, tickets), a password in a URL, a private
key, and what stands behind the name of a secret (`Authorization:`, `"api_key":`, `?ticket=`), in plain text,
in JSON, in a `repr`, percent-encoded or escaped. By value: secrets of this process that have no form of
their own, such as a password, once `know` was told of them.

What has no form, is not known and stands behind no name cannot be seen: half a password, say. So this is the
second wall. The first is that nobody hands a secret to a log or an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# What stands for a secret. Of an API key the prefix and the id stay, which are public.
MASK = "…"
# A shorter secret may be a word that the log needs.
KNOWN_MIN_CHARS = 12
# Those that are set, with room for more. The oldest go first.
KNOWN_MAX_COUNT = 64
# How often a text may be escaped on top of itself and is still seen through.
ESCAPED_MAX_TIMES = 3
# So often JSON may be a string in JSON.
JSON_MAX_TIMES = 2
# How deeply a field of a log line may be nested; what is deeper is not shown.
NESTED_MAX_COUNT = 8

_API_KEY = re.compile(r"ck_(?:live|test)_(?:[0-9A-Za-z]{8}_)?+([0-9A-Za-z_]+)")
_JWT = re.compile(r"eyJ([\w-]{8,}(?:\.[\w-]*)*)", re.ASCII)
# Not within a word such as "direct_"; one letter before it may be what is left of an escaped line end.
_TICKET = re.compile(r"(?:(?<![a-z]{2})ct_(?=[\w-]{16})|ct_(?=[0-9A-Za-z]{20}))([\w-]+)", re.ASCII)
_SCHEME = re.compile(
    r"\b(?:bearer|basic)\s+(?=[^\s\"'\\]*[0-9=+/._-])([^\s\"'\\,;]{16,})", re.IGNORECASE
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----((?:[\w+/=\s:,]|\\[nrt])+)")
# The word `password` in its own place is an example. In the URL of a database a password may hold, unescaped,
# what would end another one.
_URL = re.compile(r"://[^\s:/?#@\"'\\]*:(?!password@)([^\s/?#@\"'\\]+)(?=@)", re.IGNORECASE)
_DATABASE_URL = re.compile(
    r"(?:postgres(?:ql)?|rediss?)://[^\s:/@\"]*:(?!password@)((?:(?!://)[^\s\"\\])+)(?=@)",
    re.IGNORECASE,
)
# A secret is the group of its pattern, which is searched for if one of these is in the text, in lower case.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("ck_",), _API_KEY),
    (("eyj",), _JWT),
    (("ct_",), _TICKET),
    (("://",), _URL),
    (("postgres", "redis"), _DATABASE_URL),
    (("private key",), _PRIVATE_KEY),
    (("bearer", "basic"), _SCHEME),
)
_HEADERS = ("authorization", "x-api-key", "x-internal-secret", "cookie")
_NAMES = (
    "api_key",
    "api-key",
    "apikey",
    "secret",
    "password",
    "passwd",
    "pepper",
    "ticket",
    "token",
)
_QUOTE = r"\\{0,8}[\"']"
# `Authorization: `, `"authorization": "`, `(b'authorization', b'`.
_BEHIND_HEADER = re.compile(
    rf"(?:{'|'.join(_HEADERS)})(?:{_QUOTE})?"
    rf"\s?(?:[:=]|%3[ad]|,(?=\s?b?{_QUOTE}))\s*(?:b(?={_QUOTE}))?",
    re.IGNORECASE,
)
# `?ticket=`, `password='`, `"token": "`. The words alone, or before a colon, are prose.
_BEHIND_NAME = re.compile(
    rf"(?:{'|'.join(_NAMES)})(?:(?:=|%3d)(?:b(?={_QUOTE}))?|{_QUOTE}\s?:\s?b?(?={_QUOTE}))",
    re.IGNORECASE,
)
# A value in quotes, which may be escaped themselves, up to the closing one; or a word.
_QUOTED = (
    r"\"(?P<double>(?:[^\"\\]|\\.)*)|'(?P<single>(?:[^'\\]|\\.)*)"
    r"|(?P<open>\\{1,8}[\"'])(?P<escaped>(?:(?!(?P=open))(?:[^\"\\]|\\{1,8}[^\\]))*)"
)
_WORD = r"[^\s\"'\\,;&<>()\[\]{}]+"
_VALUE = re.compile(rf"{_QUOTED}|(?P<word>{_WORD})", re.DOTALL)
# With the word before it that says what it is: `Bearer x`.
_HEADER_VALUE = re.compile(rf"{_QUOTED}|(?P<word>(?:[A-Za-z]{{1,15}} +)?{_WORD})", re.DOTALL)
_PLACES: tuple[tuple[tuple[str, ...], re.Pattern[str], re.Pattern[str]], ...] = (
    (_HEADERS, _BEHIND_HEADER, _HEADER_VALUE),
    (_NAMES, _BEHIND_NAME, _VALUE),
)
_ESCAPE = re.compile(r"\\{1,8}(?:x|u00)([0-9A-Fa-f]{2})")
_PERCENT = re.compile("%[0-9A-Fa-f]{2}")
_ESCAPED_WORD = re.compile(r"(?:[^\s\"'\\]|\\{1,8}(?:x|u00)[0-9A-Fa-f]{2})+")
_UNSAFE = re.compile(r"[\s\"'\\\x00-\x1f\x7f-\xff]")
_SECRET_FIELD = re.compile(
    rf"authorization|cookie|x-internal-secret|(?:^|[^a-z])(?:{'|'.join(_NAMES)})$"
)

_known: dict[str, None] = {}
# How they may stand in a text, the longest first.
_forms: tuple[str, ...] = ()


def know(*secrets: str) -> None:
    """From now on these are masked wherever they stand; not one that is short enough to be a word."""
    for secret in secrets:
        if len(secret) >= KNOWN_MIN_CHARS:
            _known.pop(secret, None)
            _known[secret] = None
    _keep([*_known][-KNOWN_MAX_COUNT:])


def known() -> list[str]:
    """The secrets that are known by value."""
    return [*_known]


def forget() -> None:
    """No secret is known any more."""
    _keep([])


def redacted(text: str) -> str:
    """The text with a mask where a secret was."""
    text = _masked(text)
    if _PERCENT.search(text) is not None or ("\\" in text and _ESCAPE.search(text) is not None):
        return _ESCAPED_WORD.sub(_seen_through, text)
    return text


def redacted_value(value: object, name: str = "", depth: int = 0) -> object:
    """A value that is shown under a name: of a log line's field, say. What is no text stays as it is, unless
    a secret is in it or in its `repr`."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_FIELD.search(name.lower()) is not None or depth > NESTED_MAX_COUNT:
        return MASK
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {
            redacted_value(key): redacted_value(each, str(key), depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted_value(each, "", depth + 1) for each in value]
    text = repr(value)
    masked = redacted(text)
    return value if masked == text else masked


def _keep(secrets: Iterable[str]) -> None:
    global _known, _forms
    _known = dict.fromkeys(secrets)
    forms = {form for secret in _known for form in _forms_of(secret)}
    _forms = tuple(sorted(forms, key=len, reverse=True))


def _forms_of(secret: str) -> set[str]:
    """As it is, in reprs, in URLs, and each of these in JSON, also in JSON that is a string in JSON."""
    # Not on top: most commands know no secret.
    import json
    from urllib.parse import quote

    data = secret.encode(errors="surrogatepass")
    forms = {secret, repr(secret)[1:-1], repr(data)[2:-1], quote(data), quote(data, safe="")}
    for _ in range(JSON_MAX_TIMES):
        forms |= {json.dumps(form)[1:-1] for form in forms} | {
            json.dumps(form, ensure_ascii=False)[1:-1] for form in forms
        }
    return forms


def _masked(text: str) -> str:
    """All are looked for in the text as it was: what hides one must not hide the name of another."""
    lower = text.lower()
    spans = []
    # A search for a substring costs a tenth of a regular expression's, and finds nothing in most texts.
    for form in _forms:
        if form in text:
            spans += [found.span() for found in re.finditer(re.escape(form), text)]
    for marks, pattern in _SHAPES:
        for mark in marks:
            if mark in lower:
                spans += [found.span(1) for found in pattern.finditer(text)]
                break
    for marks, pattern, value in _PLACES:
        for mark in marks:
            if mark in lower:
                spans += _values(text, pattern, value)
                break
    return _without(text, spans) if spans else text


def _values(text: str, pattern: re.Pattern[str], value: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where those stand that are behind what the pattern finds. A name within a value may have one that goes
    on behind it."""
    spans, end = [], 0
    for found in pattern.finditer(text):
        if found.end() >= end and (what := value.match(text, found.end())) is not None:
            spans.append(what.span(what.lastgroup or 0))
            end = what.end()
    return spans


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    end = 0
    for begin, after in sorted(spans):
        if begin > end or not parts:
            parts += [text[end:begin], MASK]
        end = max(end, after)
    return "".join(parts) + text[end:]


def _seen_through(found: re.Match[str]) -> str:
    """A word with escapes as it is, unless what it says has a secret; then that, masked and with new escapes
    where it could end the word."""
    # Not on top: few texts have an escape.
    from urllib.parse import unquote

    plain = found[0]
    for _ in range(ESCAPED_MAX_TIMES):
        before, plain = plain, _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), unquote(plain))
        if plain == before:
            break
        if (masked := _masked(plain)) != plain:
            return _UNSAFE.sub(lambda unsafe: f"%{ord(unsafe[0]):02X}", masked)
    return found[0]
