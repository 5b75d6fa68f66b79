"""The pages of a list, asked for as they are used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, TypeVar

from conduit.client.rest import Rest


class _Page(Protocol):
    @property
    def next(self) -> str | None: ...


P = TypeVar("P", bound=_Page)


async def pages(
    rest: Rest, where: str, model: type[P], query: Mapping[str, object]
) -> AsyncIterator[P]:
    """One page after the other, as long as there are more."""
    cursor: str | None = None
    while True:
        page = await rest.get(where, model, {**query, "cursor": cursor})
        yield page
        if (cursor := page.next) is None:
            return
