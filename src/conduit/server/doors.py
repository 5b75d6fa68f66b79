"""At which address the server is asked: the port for everybody, or the operator's.

The operator's (`CONDUIT_ADMIN_PORT`) asks for no credential, so it is for a network of the operator's. It
has what tells of the node, and nothing that changes anything. While it is open, the other has less.
"""

from __future__ import annotations

import msgspec

from conduit.grants import Grant
from conduit.names import DEFAULT_TENANT
from conduit.server.origins import Origins
from conduit.tenancy.principal import Principal

# In the scope of a request: the Door that it came by.
DOOR = "conduit.door"
# What moves to the operator's port …
_MOVED = frozenset({"/docs", "/metrics", "/openapi.json"})
# … and all that is there.
_OPERATORS = _MOVED | {"/", "/health", "/health/ready"}


class Door(msgspec.Struct, frozen=True):
    """One address.

    `/internal/` is at the port for everybody: that is the address by which nodes know each other
    (`NODE_ADDR`), and who asks there has to prove that it is one. Who reaches the operator's port has not.
    """

    origins: Origins
    """Whose pages may call here."""
    caller: Principal | None = None
    """Who asks, whatever credential comes; None: that is for the credential to say."""
    shows: frozenset[str] | None = None
    """The paths that are here and no others; None: all but …"""
    hides: frozenset[str] = frozenset()

    def has(self, path: str) -> bool:
        """Whether the path is here, as far as that depends on the door."""
        return path not in self.hides if self.shows is None else path in self.shows


def main_door(origins: Origins, *, beside_operators: bool = False) -> Door:
    """The port for everybody."""
    return Door(origins, hides=_MOVED if beside_operators else frozenset())


def operators_door() -> Door:
    """The operator's. No page may call there but its own."""
    caller = Principal(DEFAULT_TENANT, "operator", [Grant(scope="admin")])
    return Door(Origins(""), caller, _OPERATORS)
