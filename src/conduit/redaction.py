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
from collections.abc import Callable, Iterable

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

_Shown = str | Callable[[re.Match[str]], str]

_API_KEY = re.compile(rf"(ck_(?:live|test)_(?:[0-9A-Za-z]{{8}}_)?)[0-9A-Za-z_]*{MASK}?")
_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*)*", re.ASCII)
# Not within a word such as "direct_"; one letter before it may be what is left of an escaped line end.
_TICKET = re.compile(r"(?<![a-z]{2})ct_[\w-]{16,}|ct_[0-9A-Za-z]{20,}", re.ASCII)
_SCHEME = re.compile(
    r"\b((?:bearer|basic)\s+)(?=[^\s\"'\\]*[0-9=+/._-])[^\s\"'\\,;]{16,}", re.IGNORECASE
)
_PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(?:[\w+/=\s:,]|\\[nrt])+")
# In the URL of a database a password may hold, unescaped, what would end another one. The word `password`
# there is an example.
_URL = re.compile(
    r"((?:postgres(?:ql)?|rediss?)://[^\s:/@\"]*:)(?!password@)(?:(?!://)[^\s\"\\])+(?=@)"
    r"|(://[^\s:/?#@\"'\\]*:)(?!password@)[^\s/?#@\"'\\]+(?=@)",
    re.IGNORECASE,
)
_QUOTE = r"\\{0,8}[\"']"
# A value in quotes, which may be escaped themselves, up to the closing one …
_IN_QUOTES = (
    r"\"(?:[^\"\\]|\\.)*|'(?:[^'\\]|\\.)*"
    r"|(?P<open>\\{1,8}[\"'])(?:(?!(?P=open))(?:[^\"\\]|\\{1,8}[^\\]))*"
)
# … or a word.
_WORD = r"[^\s\"'\\,;&<>()\[\]{}]+"
# `Authorization: Bearer x`, `"authorization": "…"`, `(b'authorization', b'…')`.
_BEHIND_HEADER = re.compile(
    rf"((?:authorization|x-api-key|x-internal-secret|cookie)(?:{_QUOTE})?"
    rf"\s?(?:[:=]|,(?=\s?b?{_QUOTE}))\s*(?:b(?={_QUOTE}))?)"
    rf"(?:{_IN_QUOTES}|(?!{MASK})(?:[a-z]{{1,15}} +)?{_WORD})",
    re.IGNORECASE | re.DOTALL,
)
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
# `?ticket=x`, `password='x'`, `"token": "x"`. The words alone, or before a colon, are prose.
_BEHIND_NAME = re.compile(
    rf"((?:{'|'.join(_NAMES)})(?:=(?:b(?={_QUOTE}))?|{_QUOTE}\s?:\s?b?(?={_QUOTE})))(?:{_IN_QUOTES}|(?!{MASK}){_WORD})",
    re.IGNORECASE | re.DOTALL,
)
_OPENING = re.compile(_QUOTE)


def _masked_value(found: re.Match[str]) -> str:
    head = found[1]
    opening = _OPENING.match(found[0], len(head))
    return f"{head}{opening[0] if opening else ''}{MASK}"


# What is searched for, if the first is in the text; what is put in its place.
_SHAPES: tuple[tuple[str, re.Pattern[str], _Shown], ...] = (
    ("ck_", _API_KEY, rf"\1{MASK}"),
    ("eyJ", _JWT, f"eyJ{MASK}"),
    ("ct_", _TICKET, f"ct_{MASK}"),
    ("://", _URL, lambda found: f"{found[1] or found[2]}{MASK}"),
    ("PRIVATE KEY", _PRIVATE_KEY, rf"\1{MASK}"),
)
# If one of these is in the text, in lower case.
_PLACES: tuple[tuple[tuple[str, ...], re.Pattern[str], _Shown], ...] = (
    (("bearer", "basic"), _SCHEME, rf"\1{MASK}"),
    (("authorization", "x-", "cookie"), _BEHIND_HEADER, _masked_value),
    (_NAMES, _BEHIND_NAME, _masked_value),
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
    # A search for a substring costs a tenth of a regular expression's, and finds nothing in most texts.
    for form in _forms:
        if form in text:
            text = text.replace(form, MASK)
    for part, pattern, shown in _SHAPES:
        if part in text:
            text = pattern.sub(shown, text)
    lower = text.lower()
    for parts, pattern, shown in _PLACES:
        for part in parts:
            if part in lower:
                text = pattern.sub(shown, text)
                break
    return text


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
