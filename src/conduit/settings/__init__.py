"""The server's settings: what can be set, with its bounds, in groups. `environment.py` reads it.

Components get the plain values they need, never the whole. `docs/configuration.md` lists every variable; a
test keeps it equal to the models here.
"""

from __future__ import annotations

from pydantic import Field, SecretStr

from conduit import otel_variables, redis_url, store_url
from conduit.settings.access import Access
from conduit.settings.connections import Connections
from conduit.settings.kept import Kept
from conduit.settings.original import Original
from conduit.settings.process import Process
from conduit.settings.publishing import Publishing
from conduit.settings.tokens import Tokens
from conduit.settings.tracing import Tracing
from conduit.settings.types import may_be_none
from conduit.settings.workers import Workers

__all__ = ["Settings", "may_be_none"]


# What is secret in a URL, and in a list of headers.
_PASSWORDS = {
    "database_url": store_url.passwords,
    "redis_url": redis_url.passwords,
    "otlp_headers": otel_variables.header_values,
    "otlp_traces_headers": otel_variables.header_values,
}


# The last group is the first to be looked at.
class Settings(Kept, Connections, Publishing, Workers, Process, Tokens, Access, Tracing, Original):
    """Everything that can be set."""

    warnings: tuple[str, ...] = Field((), exclude=True)
    """Sentences to be logged at start: what is set but has no effect. Not a variable."""

    sampling: otel_variables.Sampling = Field(otel_variables.Sampling(), exclude=True)
    """Which messages are traced, as OpenTelemetry's variables say it. Not a variable."""

    @property
    def secrets(self) -> list[str]:
        """What must be shown nowhere: the values of secret settings, and of URLs the passwords."""
        found: list[str] = []
        for name, value in self:
            if isinstance(value, SecretStr):
                text = value.get_secret_value()
                if name in _PASSWORDS:
                    found += _PASSWORDS[name](text)
                else:
                    found += text.split() if name == "internal_secret" else [text]
        return found
