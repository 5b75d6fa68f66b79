"""The environment: variables in, one frozen `Settings` out, or all that is wrong with them.

Nothing else reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from conduit import otel_variables, store_url, variables
from conduit.errors import ConfigError
from conduit.settings import Settings, may_be_none, together

# Where pydantic's sentences are about parsing.
_PLAIN = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}

# What is no number is perhaps one with a unit, such as 7d.
_NUMBERS = frozenset({"int_parsing", "int_from_float", "float_parsing"})
_UNITS = {"_bytes_per_s": " of bytes", "_s": " of seconds", "_bytes": " of bytes"}


class Variable(NamedTuple):
    """A setting as its documentation has it."""

    name: str
    default: str
    about: str


def described() -> list[Variable]:
    """Every variable, in the order of the model."""
    return [
        Variable(
            str(field.alias),
            "hostname" if field.default_factory else _default_text(field.default),
            field.description or "",
        )
        for field in Settings.model_fields.values()
        if not field.exclude
    ]


def _default_text(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def load_settings(environ: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Settings from the environment; `overrides` by field name (command-line options) win.

    A variable with an empty value counts as unset. Raises ConfigError with one sentence for each
    problem; no sentence holds the value of a secret.
    """
    source = os.environ if environ is None else environ
    given = {name: text for name, text in source.items() if text}
    fields = {str(f.alias): name for name, f in Settings.model_fields.items() if not f.exclude}
    values: dict[str, object] = {
        fields[name]: text for name, text in given.items() if name in fields
    }
    values |= {name: value for name, value in overrides.items() if value is not None}
    meant = variables.refusals(given, fields) + _find_database(values, given, overrides)
    meant += together.refusals(values)
    if values.get("traces") == "otlp":
        meant += otel_variables.refusals(given)
    try:
        settings = Settings.model_validate(values, by_name=True)
    except ValidationError as error:
        problems = [_sentence(problem) for problem in error.errors()]
        raise ConfigError(meant + problems) from None
    if meant:
        raise ConfigError(meant)
    said = variables.warnings(given, fields, has_auth=settings.enable_auth)
    has_provider = settings.identity_provider is not None
    others = together.warnings(
        settings, settings.host, workers=settings.workers, has_provider=has_provider
    )
    said = (*others, *said)
    if settings.traces != "off" and otel_variables.is_disabled(given):
        said = (*said, otel_variables.DISABLED)
        settings = settings.model_copy(update={"traces": "off"})
    more: dict[str, object] = {"warnings": said}
    if settings.traces != "off":
        more["sampling"] = otel_variables.sampling(given)
    return settings.model_copy(update=more)


def is_given(environ: Mapping[str, str] | None = None) -> bool:
    """Whether any of the server's variables is set."""
    source = os.environ if environ is None else environ
    return any(source.get(str(field.alias)) for field in Settings.model_fields.values())


class Usable(NamedTuple):
    """What can be used of the environment, although something in it cannot."""

    settings: Settings | None
    """Of all variables that can be used; None if there is no making sense of the rest."""
    problems: tuple[str, ...]
    """A sentence for each problem."""
    unusable: frozenset[str]
    """Names of the variables that were left out for that."""


def usable_settings(environ: Mapping[str, str] | None = None) -> Usable:
    """As `load_settings`, for who looks at the environment and starts nothing: raises nothing."""
    source = os.environ if environ is None else environ
    try:
        return Usable(load_settings(source), (), frozenset())
    except ConfigError as error:
        problems = error.problems
    # A sentence begins with the name that it is about.
    named = {problem.split()[0] for problem in problems}
    meant = {name.removeprefix(variables.PREFIX) for name in named}
    rest = {name: text for name, text in source.items() if name not in named}
    try:
        settings = load_settings(rest)
    except ConfigError:
        settings = None
    return Usable(settings, problems, frozenset(named | meant))


def _find_database(
    values: dict[str, object], given: Mapping[str, str], overrides: Mapping[str, object]
) -> list[str]:
    """Put the URL where it is looked for, from wherever it is; returns what stands against that."""
    option, path = overrides.get("database_url"), given.get("DATABASE_URL_FILE")
    if option is not None:
        shown = store_url.has_password(str(option))
        return [store_url.PASSWORD_SHOWN] if shown else []
    if path is None:
        return []
    if "DATABASE_URL" in given:
        return ["DATABASE_URL and DATABASE_URL_FILE are both set: unset one of them."]
    try:
        values["database_url"] = store_url.from_file(Path(path))
    except ValueError as error:
        return [f"DATABASE_URL_FILE is {path!r}: it {error}."]
    return []


def _sentence(problem: ErrorDetails) -> str:
    """One validation problem as a sentence that begins with the variable's name."""
    name = str(problem["loc"][0])
    field = Settings.model_fields[name]
    text = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    text = _PLAIN.get(problem["type"], text.replace("should be", "must be"))
    if problem["type"] in _NUMBERS:
        text += next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
    if may_be_none(field):
        text += ", or none"
    if field.annotation in (str, SecretStr | None) or problem["type"] == "value_error":
        return f"{field.alias} {text}."
    return f"{field.alias} is {problem['input']!r}: it {text}."
