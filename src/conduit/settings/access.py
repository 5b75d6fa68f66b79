"""Who may come in."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from conduit.settings.original import check_secret
from conduit.settings.types import Count, Group, Seconds


class Access(Group):
    """What authentication rests on."""

    key_pepper: SecretStr | None = Field(
        None,
        description="Secret that API keys are hashed with, 16 characters or more. Set it before the first "
        "key is made and do not change it: the server does not start with another one. Unset: the database "
        "keeps one that it has made.",
    )
    admin_key_file: Path | None = Field(
        None,
        description="Where the first start with authentication writes the operator's key, for its owner "
        "only. Unset: it is shown on the terminal; without one it is in `conduit-admin-key` beside the "
        "database file, or in the working directory.",
    )
    audit_max_age_s: Count = Field(
        7_776_000, description="Age at which entries of the audit log are removed."
    )
    auth_timeout_s: Seconds = Field(
        5.0, description="A WebSocket that has not signed in after this time is closed with 4501."
    )
    max_unauthenticated: Count = Field(
        1_000,
        description="Most WebSockets that have not signed in. Beyond it, the address that has the most loses "
        "its oldest.",
    )

    @property
    def pepper(self) -> str | None:
        """The pepper that is set. A secret."""
        return None if self.key_pepper is None else self.key_pepper.get_secret_value()

    @field_validator("key_pepper")
    @classmethod
    def _long_pepper(cls, secret: SecretStr) -> SecretStr:
        return check_secret(secret)
