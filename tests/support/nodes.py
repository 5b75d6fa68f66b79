"""Several servers on one PostgreSQL that are linked."""

from __future__ import annotations

import re

from tests.support.http import Api
from tests.support.server import RunningServer, free_port

SECRET = "of-the-nodes-0123456789"


class Cluster:
    """Three servers, and what they say of themselves."""

    def __init__(self, servers: list[RunningServer]) -> None:
        self.servers = servers
        self.apis = [Api(server.url) for server in servers]

    def links_up(self) -> int:
        return sum(
            link["state"] == "up"
            for api in self.apis
            for node in api.get("/api/nodes").json["nodes"]
            if node["is_this"]
            for link in node["links"]
        )

    def metric(self, at: int, name: str) -> float:
        text = self.apis[at].get("/metrics").body.decode()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return 0.0 if found is None else float(found[1])


def node(url: str, name: str, secret: str) -> dict[str, str]:
    """The settings of a node that the others reach."""
    port = free_port()
    return {
        "DATABASE_URL": url,
        "PORT": str(port),
        "NODE_ID": name,
        "NODE_ADDR": f"127.0.0.1:{port}",
        "INTERNAL_SECRET": secret,
    }


def has_link(api: Api) -> bool:
    """Whether any link of that server is up."""
    nodes = api.get("/api/nodes").json["nodes"]
    return any(link["state"] == "up" for each in nodes for link in each["links"] or ())
