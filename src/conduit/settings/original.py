"""Names that deployments of the original server have set already."""

from __future__ import annotations

import re
import socket
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from conduit import node_address, redis_url, store_url
from conduit.names import is_node
from conduit.settings.types import Group

# Of what others could try to guess.
SECRET_MIN_CHARS = 16
# Of nodes: one, and another one while it is changed; each costs a little in each proof.
INTERNAL_SECRETS_MAX_COUNT = 8
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<place>[!-~]+)")
_NO_PLACE = frozenset('/?#@,"\\*')
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_secret(secret: SecretStr) -> SecretStr:
    """Return it unchanged, or raise ValueError: too short, or not to be sent in a header."""
    text = secret.get_secret_value()
    if len(text) < SECRET_MIN_CHARS or not text.isprintable() or " " in text:
        raise ValueError(
            f"must have {SECRET_MIN_CHARS} characters or more, all printable and no blanks"
        )
    return secret


def _check_secret_of_nodes(text: str) -> None:
    """Raise ValueError, without a word of the text, if one of them could be guessed or not be sent."""
    secrets = text.split()
    if not 0 < len(secrets) <= INTERNAL_SECRETS_MAX_COUNT:
        raise ValueError(
            f"must be one secret, or up to {INTERNAL_SECRETS_MAX_COUNT} with blanks between them"
        )
    for number, secret in enumerate(secrets, 1):
        if len(secret) < SECRET_MIN_CHARS or not (secret.isascii() and secret.isprintable()):
            which = "" if len(secrets) == 1 else f", and number {number} of its secrets has not"
            raise ValueError(
                f"must have {SECRET_MIN_CHARS} characters or more, all of them of printable ASCII{which}: "
                "whoever guesses it is a node, and reads and writes everything. `openssl rand -hex 32` makes "
                "one"
            )


def _origin(text: str) -> str:
    """As browsers spell it. Raises ValueError."""
    origin = text.strip().lower()
    found = _ORIGIN.fullmatch(origin)
    if origin == "null":
        return origin
    if found is None or not _NO_PLACE.isdisjoint(found["place"]):
        raise ValueError(
            "must be * or origins such as https://app.example, without a path, separated by commas"
        )
    return f"{found['scheme']}://{found['place'].removesuffix(_DEFAULT_PORTS.get(found['scheme'], '/'))}"


class Original(Group):
    """What has no prefix."""

    port: int = Field(
        8080,
        description="TCP port of everything; 0 takes a free one.",
        alias="PORT",
        ge=0,
        le=65_535,
    )
    database_url: SecretStr | None = Field(
        None,
        description="The store: `sqlite:///relative/path`, `sqlite:////absolute/path` or "
        "`postgresql://user:password@host/database`, or several of the last, separated by blanks. "
        "Unset: memory, lost on exit.",
        alias="DATABASE_URL",
    )
    database_url_file: Path | None = Field(
        None,
        description="A file that holds `DATABASE_URL`, which is not set then: so a password is in no "
        "environment either.",
        alias="DATABASE_URL_FILE",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Where nodes say which topics they want, so that others tell them of no more: `redis://` "
        "or `rediss://` with user, password, host, port and database, or `unix://`. For nodes that have an "
        "`INTERNAL_SECRET`, on one PostgreSQL or in memory; the latter find each other here.",
        alias="REDIS_URL",
    )
    enable_auth: bool = Field(
        False,
        description="`true`: everybody needs an API key or a token. Else everybody who can reach the port "
        "may do everything.",
        alias="ENABLE_AUTH",
    )
    default_api_key: SecretStr | None = Field(
        None,
        description="A key for the tenant `default` that may publish, subscribe and manage: any text of 16 "
        "characters or more, without blanks. Besides the keys that are made.",
        alias="DEFAULT_API_KEY",
    )
    node_id: str = Field(
        default_factory=socket.gethostname,
        description="Name of this node in the list of nodes, in `/health` and logs. Each node has one of its "
        "own: a name that another live node has is refused. Unset: the machine's, with the port behind it "
        "if that is taken, and always for nodes in memory.",
        alias="NODE_ID",
    )
    node_addr: str | None = Field(
        None,
        description="Where other nodes reach this one, `host:port` or `:port`: shown in the list of nodes, "
        "and where they link with it. Unset: the machine's name and the port.",
        alias="NODE_ADDR",
    )
    internal_secret: SecretStr | None = Field(
        None,
        description="Secret of the nodes of a cluster, by which they speak with each other (`/internal/`) "
        "and which nobody else may know: 16 characters or more. Several, separated by blanks, to change it: "
        "nodes that have one in common are linked.",
        alias="INTERNAL_SECRET",
    )
    cors_origin: str = Field(
        "*",
        description="The origins whose pages may call, and connect to `/ws`, separated by commas, as "
        "`https://app.example`; `*`: any.",
        alias="CORS_ORIGIN",
    )

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        store_url.check(url.get_secret_value())
        return url

    @field_validator("redis_url")
    @classmethod
    def _known_registry(cls, url: SecretStr) -> SecretStr:
        redis_url.check(url.get_secret_value())
        return url

    @field_validator("internal_secret")
    @classmethod
    def _long_secrets(cls, secret: SecretStr) -> SecretStr:
        _check_secret_of_nodes(secret.get_secret_value())
        return secret

    @field_validator("default_api_key")
    @classmethod
    def _long_key(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        # Without authentication it has no effect, and is told so.
        return check_secret(secret) if info.data.get("enable_auth") else secret

    @field_validator("node_id")
    @classmethod
    def _printable_node(cls, name: str) -> str:
        if not is_node(name):
            raise ValueError(
                "must be 1–255 printable ASCII characters without spaces and slashes, and not . or .."
            )
        return name

    @field_validator("node_addr")
    @classmethod
    def _reachable_node(cls, address: str | None) -> str | None:
        if address is not None:
            node_address.check(address)
        return address

    @field_validator("cors_origin")
    @classmethod
    def _known_origins(cls, text: str) -> str:
        if text.strip() == "*":
            return "*"
        return ",".join(dict.fromkeys(_origin(each) for each in text.split(",")))

    @property
    def database_path(self) -> Path | None:
        """The SQLite file, if that is the store."""
        text = self._database
        path = text.removeprefix(store_url.SQLITE)
        return None if path == text else Path(path)

    @property
    def has_node_id(self) -> bool:
        """Whether somebody has chosen the node's name; else it is the machine's."""
        return "node_id" in self.model_fields_set

    @property
    def postgres_urls(self) -> tuple[str, ...]:
        """The PostgreSQL databases, if they are the store. Secrets."""
        text = self._database
        return tuple(text.split()) if text.startswith(store_url.POSTGRES) else ()

    @property
    def internal_secrets(self) -> tuple[str, ...]:
        """The secrets of the cluster, of which the first is used. Secrets."""
        secret = self.internal_secret
        return () if secret is None else tuple(secret.get_secret_value().split())

    @property
    def meets_in_redis(self) -> bool:
        """Whether this is one of several nodes that share no log, and find each other in Redis."""
        has_both = self.redis_url is not None and self.internal_secret is not None
        return has_both and self.database_url is None

    @property
    def database_place(self) -> str | None:
        """Where the log is, without a secret; None: in memory."""
        return store_url.place(self._database) if self._database else None

    @property
    def _database(self) -> str:
        return "" if self.database_url is None else self.database_url.get_secret_value()
