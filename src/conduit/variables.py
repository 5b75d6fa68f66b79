"""Names in the environment that are not settings, and look as if they were meant for one.

`variables` are the names of all settings; no sentence says what a variable holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

PREFIX = "CONDUIT_"
# Read by the command line's client commands; the server knows them only so as not to warn.
CLIENT_VARIABLES = frozenset({"CONDUIT_API_KEY", "CONDUIT_CONTEXT", "CONDUIT_URL"})

_OF_AUTH = ("DEFAULT_API_KEY", "CONDUIT_JWKS_URL")
# Other programs have variables too: a name counts as one of ours, misspelt, if it is as near as one letter
# that is missing, wrong or too many. Names as short as PORT are near to too much.
_NEAR = 0.88
_SHORT_CHARS = 6


def refusals(given: Mapping[str, str], variables: Collection[str]) -> list[str]:
    """A sentence for each name that can only be meant for one of ours that has no prefix. A warning would be
    too little: with CONDUIT_DATABASE_URL nothing would be kept."""
    bare = [name for name in variables if not name.startswith(PREFIX)]
    return [
        f"{PREFIX}{name} is not a setting: it is {name}." for name in bare if PREFIX + name in given
    ]


def warnings(
    given: Mapping[str, str], variables: Collection[str], *, has_auth: bool
) -> tuple[str, ...]:
    """A sentence for each name that has no effect, or is not a setting and seems to be meant for one."""
    unused: dict[str, str] = {}
    if not has_auth:
        unused |= dict.fromkeys(_OF_AUTH, "without ENABLE_AUTH=true nobody is asked for a key")
    without_effect = [
        f"{name} has no effect: {why}." for name, why in unused.items() if name in given
    ]
    others = sorted(given.keys() - set(variables) - CLIENT_VARIABLES)
    unknown = [_unknown(name, variables) for name in others if name.startswith(PREFIX)]
    unset = [name for name in variables if name not in given]
    misspelt = [_misspelt(name, unset) for name in others if not name.startswith(PREFIX)]
    return (*without_effect, *unknown, *filter(None, misspelt))


def _unknown(name: str, variables: Collection[str]) -> str:
    # The prefix that nearly all share would make everything look alike.
    rests = {variable.removeprefix(PREFIX): variable for variable in variables}
    near = get_close_matches(name.removeprefix(PREFIX), rests, n=1)
    hint = f"; did you mean {rests[near[0]]}?" if near else "."
    return f"{name} is not a setting{hint}"


def _misspelt(name: str, unset: Collection[str]) -> str | None:
    """A sentence about a name without our prefix that is nearly one of ours; that one is not set."""
    long = [variable for variable in unset if len(variable) > _SHORT_CHARS]
    near = get_close_matches(name.upper(), long, n=1, cutoff=_NEAR)
    return f"{name} is not a setting; did you mean {near[0]}?" if near else None
