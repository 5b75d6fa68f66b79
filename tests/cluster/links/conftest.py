import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    # As the server, whose transports differ from asyncio's in flow control.
    return {"uvloop": uvloop.new_event_loop}
