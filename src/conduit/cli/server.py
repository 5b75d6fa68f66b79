"""Which server a command works on, and as whom: from its options, the environment, and the contexts.

What is named nearer to the command comes first: options, `--context`, variables, the context in use, the
default. And a key goes to no other address than the one that it was named beside: that of its context, or
that of CONDUIT_URL if it is the one in CONDUIT_API_KEY.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import click
from click.core import ParameterSource

from conduit.cli import context_file, secret
from conduit.cli.context_file import Context, Contexts
from conduit.cli.output import note

# Of `client/place.py`, which `--help` does not load.
DEFAULT_URL = "http://127.0.0.1:8080"


# Their names, as the command has them.
OPTIONS = ("url", "api_key", "api_key_file", "context", "tenant")


@dataclass(frozen=True)
class Target:
    """Where a command works, and as whom."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    tenant: str | None = None


@dataclass(frozen=True, kw_only=True)
class Given:
    """What options and variables say; None: nothing."""

    url: str | None = None
    url_variable: str | None = None
    api_key: str | None = field(default=None, repr=False)
    api_key_variable: str | None = field(default=None, repr=False)
    context: str | None = None
    context_variable: str | None = None
    tenant: str | None = None


class Server:
    """What is known of it is decided when it is first needed: the key may have to be typed."""

    def __init__(self, context: click.Context, *, asks: bool = True) -> None:
        self._said = {name: context.params.get(name) for name in OPTIONS}
        self._is_variable = {
            name
            for name in OPTIONS
            if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT
        }
        self._asks = asks

    @property
    def is_chosen(self) -> bool:
        """Whether an option says which server is meant."""
        return self._option("url") is not None or self._option("context") is not None

    @property
    def is_named(self) -> bool:
        """Whether anything does: an option, a variable, or the context in use. Raises InvalidRequest."""
        is_said = self._said["url"] is not None or self._said["context"] is not None
        return is_said or context_file.load().current is not None

    @cached_property
    def target(self) -> Target:
        """Raises InvalidRequest, NotFound `context_not_found`, UsageError; says which key is not used."""
        option, variable = self._option, self._variable
        given = Given(
            url=option("url"),
            url_variable=variable("url"),
            api_key=self._key(),
            api_key_variable=variable("api_key"),
            context=option("context"),
            context_variable=variable("context"),
            tenant=option("tenant"),
        )
        target, notes = decide(given, context_file.load)
        if self._asks:
            for text in notes:
                note(text)
        return target

    def _key(self) -> str | None:
        text, path = self._option("api_key"), self._option("api_key_file")
        if text is not None and path is not None:
            raise click.UsageError("--api-key and --api-key-file are two keys; give one of them")
        if path is not None:
            return secret.from_file(path)
        if text == secret.STDIN and not self._asks:
            raise click.UsageError("the key is to be typed")
        return None if text is None else secret.given(text)

    def _option(self, name: str) -> str | None:
        return None if name in self._is_variable else self._said[name]

    def _variable(self, name: str) -> str | None:
        return self._said[name] if name in self._is_variable else None


def decide(given: Given, load: Callable[[], Contexts]) -> tuple[Target, list[str]]:
    """Where, and as whom; and what people should be told: that a key is not used where they may think so."""
    name, context = _context(given, load)
    kept = Context("") if context is None else context
    is_chosen = given.context is not None
    address = None if context is None else context.url
    url = _nearest(given.url, given.url_variable, address, is_chosen) or DEFAULT_URL
    is_its_server = context is not None and _is_same(context.url, url)
    is_variables_server = given.url_variable is None or _is_same(given.url_variable, url)
    key = _nearest(
        given.api_key,
        given.api_key_variable if is_variables_server else None,
        kept.api_key if is_its_server else None,
        is_chosen,
    )
    notes = []
    if key is None and given.api_key_variable is not None:
        notes.append(
            f"CONDUIT_API_KEY is for CONDUIT_URL; it is not sent to {without_password(url)}"
        )
    is_meant = (
        given.url is not None or given.context is not None or given.context_variable is not None
    )
    if key is None and kept.api_key is not None and is_meant:
        own, other = without_password(kept.url), without_password(url)
        notes.append(f"the key of context {name} is for {own}; it is not sent to {other}")
    tenant = given.tenant or (kept.tenant if is_its_server else None)
    return Target(url, key, tenant), notes


def _nearest(
    option: str | None, variable: str | None, kept: str | None, is_chosen: bool
) -> str | None:
    """What comes first of what is there; a context that is chosen by an option comes before variables."""
    order = (option, kept, variable) if is_chosen else (option, variable, kept)
    return next((each for each in order if each is not None), None)


def _context(given: Given, load: Callable[[], Contexts]) -> tuple[str | None, Context | None]:
    """The context to use, if any. None is looked for if nothing of it could be used."""
    name = given.context or given.context_variable
    if name is None:
        has_address = given.url is not None or given.url_variable is not None
        has_key = given.api_key is not None or given.api_key_variable is not None
        if has_address and has_key:
            return None, None
        name = load().current
    return (None, None) if name is None else (name, load().get(name))


def _is_same(one: str, other: str) -> bool:
    """Whether two addresses are one server's, as far as they tell."""
    return _normal(one) == _normal(other)


def _normal(url: str) -> tuple[object, ...]:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        # Told when it is used.
        return (url,)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")


def without_password(url: str) -> str:
    """An address as it may be shown. As in `client/place.py`."""
    before, at, host = url.rpartition("@")
    return f"{before.partition('://')[0]}://{host}" if at else url
