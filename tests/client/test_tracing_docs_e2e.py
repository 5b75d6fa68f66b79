"""The consumer of docs/tracing.md goes on with the publisher's trace."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from conduit.client import AsyncConduit
from tests.support.http import Api
from tests.support.server import running_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

TEXT = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text()


async def test_a_consumer_as_the_page_has_it_goes_on_with_the_trace() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exporter, done = InMemorySpanExporter(), asyncio.Event()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    names: dict[str, Any] = {"print": lambda _: done.set()}
    exec(compile(block, "docs/tracing.md", "exec"), names)
    names["tracer"] = tracer = provider.get_tracer("test")
    with running_server() as server:
        Api(server.url).create_topic("orders")
        async with AsyncConduit(server.url) as client:
            working = asyncio.gather(names["work"](client))
            with tracer.start_as_current_span("order") as span:
                # Before it is subscribed, or after: the subscription begins with what comes next.
                while not (done.is_set() or working.done()):
                    await client.publish("orders", {"id": 42})
                    await asyncio.sleep(0.05)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
    consumed = [each for each in exporter.get_finished_spans() if each.name == "process orders"]
    assert consumed
    assert consumed[0].parent is not None
    assert consumed[0].parent.span_id == span.get_span_context().span_id
