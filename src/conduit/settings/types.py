"""What settings are made of: durations, counts, sizes; and the base of each group of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

from conduit.variables import PREFIX

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]


def _none_is_unbounded(value: object) -> object:
    return None if value == "none" else value


# An integer that SQLite and JSON clients hold exactly, or the word `none`.
Bound = Annotated[
    Annotated[int, Field(ge=1, le=1 << 53)] | None, BeforeValidator(_none_is_unbounded)
]


def may_be_none(field: FieldInfo) -> bool:
    """Whether a setting may be the word `none`."""
    return any(
        isinstance(each, BeforeValidator) and each.func is _none_is_unbounded
        for each in field.metadata
    )


def variable(field: str) -> str:
    """The name in the environment of a setting that has no other."""
    return PREFIX + field.upper()


class Group(BaseModel):
    """Settings that belong together. Times in seconds, sizes in bytes, as the names say."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=variable)
