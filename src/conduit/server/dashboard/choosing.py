"""Which form of a thing is answered: what `Accept`, `Accept-Encoding` and `If-None-Match` mean."""

from __future__ import annotations

from collections.abc import Collection

# The best first: the same file is smallest in the first of them.
ENCODINGS = ("br", "gzip")
_HTML = "text/html"
_JSON = "application/json"
# Of one header, those behind it do not count: no client has as many.
_CHOICES_MAX_COUNT = 32


def wants_html(accept: str | None) -> bool:
    """Whether a page is wanted rather than JSON: `text/html` is named, and not behind `application/json`.

    Browsers name it. `*/*`, and no header at all, come from programs.
    """
    weights = _weights(accept or "")
    wanted = weights.get(_HTML, 0.0)
    return wanted > 0 and wanted >= weights.get(_JSON, 0.0)


def best_encoding(accept_encoding: str | None, there: Collection[str]) -> str | None:
    """The smallest form that is there and that the client takes; None: as it is (RFC 9110 §12.5.3)."""
    weights = _weights(accept_encoding or "")
    others = weights.get("*", 0.0)
    for encoding in ENCODINGS:
        if encoding in there and weights.get(encoding, others) > 0:
            return encoding
    return None


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether the client has this already (RFC 9110 §13.1.2). A proxy may have made the tag a weak one."""
    if if_none_match is None:
        return False
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in known or etag in known


def _weights(header: str) -> dict[str, float]:
    """What is accepted, in lower case, and how much: from 0, not at all, to 1."""
    weights = {}
    for choice in header.split(",", _CHOICES_MAX_COUNT)[:_CHOICES_MAX_COUNT]:
        name, *parameters = (part.strip().lower() for part in choice.split(";"))
        if name:
            weights[name] = _weight(parameters)
    return weights


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                # Not understood is not wanted.
                return 0.0
    return 1.0
