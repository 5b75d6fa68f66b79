"""What is done and what needs a look, as the server counts it."""

from __future__ import annotations

from typing import Any, Literal

from conduit.client.rest import Rest, address


class Figures:
    """`/api/stats/…`: for keys with the scope `manage`, of their tenant; for `admin`, of all that there is.
    Each answer says which nodes are in it."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def history(
        self, *, interval_s: Literal[1, 5, 60] = 5, limit: int | None = None
    ) -> dict[str, Any]:
        """`GET /api/stats/history`: rates, levels and latencies, the newest `limit` samples, oldest first."""
        query = {"interval_s": interval_s, "limit": limit}
        return await self._rest.get(address("stats", "history"), dict[str, Any], query)

    async def attention(self) -> dict[str, Any]:
        """`GET /api/stats/attention`: subscriptions that lag, limits that are nearly reached, and how many
        dead letters there are."""
        return await self._rest.get(address("stats", "attention"), dict[str, Any])

    async def topics(self, *, limit: int = 10) -> dict[str, Any]:
        """`GET /api/stats/topics`: the busiest topics of the last minute."""
        return await self._rest.get(address("stats", "topics"), dict[str, Any], {"limit": limit})
