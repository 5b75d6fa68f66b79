"""The variables of OpenTelemetry, which its SDK reads by itself: what of them cannot work here.

The SDK would log a line and go on with a default, so that traces are missing and nobody knows why. No
sentence has a value of a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

EXTRA = "pip install 'conduit-events[otel]'"
DISABLED = "CONDUIT_TRACES has no effect: OTEL_SDK_DISABLED is true."

_MISSING = f"CONDUIT_TRACES is set, and OpenTelemetry is not installed: {EXTRA}, or unset it."
_NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOL = "http/protobuf"
_RATIO = "traceidratio"
_NONE = "always_off"
_SAMPLERS = ("always_on", _NONE, _RATIO)
_FOLLOWING = "parentbased_"
SAMPLERS = (*(f"{_FOLLOWING}{name}" for name in _SAMPLERS), *_SAMPLERS)
"""What OTEL_TRACES_SAMPLER may be; the first is the default."""


class Sampling(NamedTuple):
    """Which traces are recorded."""

    follows_parents: bool = True
    """Whether a trace that others have begun is recorded if they do it."""
    share: float = 1.0
    """Of all others."""


def refusals(given: Mapping[str, str]) -> list[str]:
    """A sentence for each thing that cannot work, where traces are wanted."""
    found = [] if is_installed() else [_MISSING]
    found += [
        f"{name} is {given[name]!r}: Conduit sends traces by {_PROTOCOL} only; unset it, and name a port for "
        "that in the endpoint (a collector has 4318)."
        for name in _PROTOCOLS
        if given.get(name, _PROTOCOL) != _PROTOCOL
    ]
    found += [
        f"{name} must be an address such as http://collector:4318."
        for name in _ENDPOINTS
        if name in given and not _is_address(given[name])
    ]
    return found + _of_sampler(given)


def is_disabled(given: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry is switched off for the process."""
    return given.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def sampling(given: Mapping[str, str]) -> Sampling:
    """What the variables say, which are not refused."""
    name = _sampler(given)
    share = float(given.get("OTEL_TRACES_SAMPLER_ARG", 1)) if name.endswith(_RATIO) else 1.0
    return Sampling(name.startswith(_FOLLOWING), 0.0 if name.endswith(_NONE) else share)


def header_values(text: str) -> list[str]:
    """What is secret in a list of headers, as it stands there and as it is sent."""
    values = [pair.partition("=")[2].strip() for pair in text.split(",")]
    return [secret for value in values if value for secret in {value, unquote(value)}]


def _of_sampler(given: Mapping[str, str]) -> list[str]:
    sampler = _sampler(given)
    if sampler not in SAMPLERS:
        return [f"OTEL_TRACES_SAMPLER is {sampler!r}: it must be one of {', '.join(SAMPLERS)}."]
    ratio = given.get("OTEL_TRACES_SAMPLER_ARG")
    if ratio is None or not sampler.endswith(_RATIO) or _is_share(ratio):
        return []
    return [f"OTEL_TRACES_SAMPLER_ARG is {ratio!r}: it must be a number from 0 to 1."]


def _sampler(given: Mapping[str, str]) -> str:
    return given.get("OTEL_TRACES_SAMPLER", SAMPLERS[0]).strip().lower()


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_installed() -> bool:
    """Whether the extra is there, all of it that is needed."""
    try:
        return all(find_spec(name) is not None for name in _NEEDED)
    except ModuleNotFoundError:
        return False
