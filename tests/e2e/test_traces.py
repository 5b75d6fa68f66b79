"""Traces of a real server, sent to a collector, and a server without them."""

import pytest

from tests.support.collector import Collector, running_collector
from tests.support.http import Api, accepted
from tests.support.server import ServerError, running_server
from tests.support.ws import WsClient

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OTHER_TRACE = "5" * 32
SECRET = "a-secret-of-the-collector"


def test_a_trace_goes_from_http_and_websocket_to_the_collector_also_at_the_end():
    with running_collector() as collector:
        settings = {
            "DATABASE_URL": "sqlite:///conduit.db",
            "CONDUIT_TRACES": "otlp",
            "NODE_ID": "one",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={SECRET}",
            "OTEL_TRACES_SAMPLER": "parentbased_always_off",
            # What is not sent by then is sent when the server stops.
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        }
        with running_server(**settings) as server, WsClient(server.ws_url) as client:
            api = Api(server.url)
            client.subscribe("t", subscription="s")
            # Nobody asks for this one to be traced.
            _publish(api, {"topic": "t", "payload": 0})
            _publish(
                api,
                {"topic": "t", "payload": 1},
                traceparent=f"00-{TRACE}-{SPAN}-01",
                tracestate="a=1",
            )
            given = {"traceparent": f"00-{OTHER_TRACE}-{SPAN}-01"}
            client.request("publish", topic="t", payload=2, headers=given)
            messages = client.messages(3)
            for message in messages:
                client.ack(message)
            client.barrier()
            assert collector.spans == []
            assert "conduit_trace_spans_waiting 8.0" in _metrics(api)
            code, _ = server.terminate()
            assert code == 0
            assert SECRET not in server.log_text()

        assert collector.headers["x-key"] == SECRET
        _look(collector, messages)


def _look(collector: Collector, messages: list[dict]) -> None:
    plain, by_http, by_websocket = messages
    assert "headers" not in plain
    publish = next(each for each in collector.named("publish") if each.trace_id == TRACE)
    assert by_http["headers"] == {
        "traceparent": f"00-{TRACE}-{publish.span_id}-01",
        "tracestate": "a=1",
    }
    assert by_websocket["headers"] == {"traceparent": f"00-{OTHER_TRACE}-{SPAN}-01"}
    for trace, message, parent in (
        (TRACE, by_http, publish.span_id),
        (OTHER_TRACE, by_websocket, SPAN),
    ):
        spans = {each.name: each for each in collector.spans if each.trace_id == trace}
        assert set(spans) == {"publish", "commit", "deliver", "settle"}
        assert spans["publish"].parent_id == SPAN
        assert spans["commit"].parent_id == spans["deliver"].parent_id == parent
        assert spans["settle"].parent_id == spans["deliver"].span_id
        for span in spans.values():
            assert span.attributes["messaging.system"] == "conduit"
            assert span.attributes["messaging.destination.name"] == "t"
            assert span.attributes["messaging.message.id"] == message["message_id"]
            assert 0 <= span.seconds < 30
        assert spans["settle"].attributes["conduit.delivery.outcome"] == "ack"
    assert len(collector.spans) == 8
    resource = collector.spans[0].resource
    assert (resource["service.name"], resource["service.instance.id"]) == ("conduit", "one")


def test_a_server_without_traces_has_nothing_of_them():
    with running_server(PYTHONPROFILEIMPORTTIME="1") as server:
        api = Api(server.url)
        api.create_topic("t")
        with WsClient(server.ws_url) as client:
            client.subscribe("t")
            _publish(api, {"topic": "t", "payload": 1}, traceparent=f"00-{TRACE}-{SPAN}-01")
            assert "headers" not in client.receive("message")
        assert "conduit_trace" not in _metrics(api)
        server.terminate()
        log = server.log_text()
    assert "conduit.server.app" in log
    # FastAPI imports the interfaces of OpenTelemetry by itself, where they are installed.
    assert "opentelemetry.sdk" not in log
    assert "opentelemetry.exporter" not in log


def test_a_server_that_cannot_send_them_says_so_before_it_starts():
    settings = {"CONDUIT_TRACES": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(ServerError, match="Conduit sends traces by http/protobuf only"):
        running_server(**settings).__enter__()


def _publish(api: Api, body: dict, **headers: str) -> None:
    accepted(api.post("/api/publish", body, **headers))


def _metrics(api: Api) -> str:
    return api.get("/metrics").body.decode()
