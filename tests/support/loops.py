"""The loop that servers run on, as tests use it."""

import asyncio
import warnings

import uvloop


class Loop(uvloop.Loop):
    """Where a test that failed has left transports open, uvloop warns of each as it closes them. A warning is
    an error in tests, and one that is raised there leaves the rest open, for which the loop then waits for
    ever. So what it warns of is raised when it is closed.
    """

    def close(self) -> None:
        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always", ResourceWarning)
            super().close()
        for each in left:
            raise ResourceWarning(str(each.message))


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for one test."""
    return Loop()
