import asyncio
from collections.abc import Callable

from tests.support.loops import new_loop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # As the server, whose transports differ from asyncio's in flow control.
    return {"uvloop": new_loop}
