"""The environment variables of the seed that concern one node, and the rules for `CONDUIT_*`."""

import json
import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from conduit import __version__
from tests.support import forkserver
from tests.support.http import Api
from tests.support.server import RunningServer, clean_environment, free_port, running_server
from tests.support.wait import until
from tests.support.ws import WsClient

STORES = ["sqlite"]

ORIGIN = "https://app.example"


def serve_and_fail(tmp_path, **settings):
    """Run `conduit serve` with settings that it must refuse."""
    env = clean_environment(**settings)
    return forkserver.run(["conduit", "serve"], env, cwd=tmp_path, timeout=60)


def preflight(api, origin):
    return api.request(
        "OPTIONS",
        "/api/publish",
        headers={
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,idempotency-key",
        },
    )


def test_port_says_where_the_server_listens():
    port = free_port()
    with running_server(PORT=str(port)):
        assert Api(f"http://127.0.0.1:{port}").get("/health").status == 200


def test_without_database_url_messages_are_in_memory_and_not_durable():
    with running_server() as server:
        # The line comes when the server is ready, by a thread.
        server.logged("store: memory, which nothing survives")
        server.logged("gone when this process ends")
        api = Api(server.url)
        store = api.get("/health").json["store"]
        assert (store["kind"], store["durable"]) == ("memory", False)
        api.create_topic("t")
        assert api.publish("t", 1)["durable"] is False
        server.restart()
        assert api.get("/api/topics").json["topics"] == []


def test_database_url_names_the_sqlite_file_and_makes_messages_durable(tmp_path):
    path = tmp_path / "absolute.db"
    with running_server(DATABASE_URL=f"sqlite:///{path}") as server:
        api = Api(server.url)
        store = api.get("/health").json["store"]
        assert (store["kind"], store["durable"]) == ("sqlite", True)
        assert "full" in str(store).lower(), "the settings that durability rests on are shown"
        api.create_topic("t")
        assert api.publish("t", 1)["durable"] is True
    assert path.exists()


def _events(server: RunningServer) -> list[str]:
    return [json.loads(line)["event"] for line in server.log_text().splitlines()]


def test_a_line_of_the_log_says_where_the_file_and_the_docs_are(tmp_path):
    with running_server(
        DATABASE_URL=f"sqlite:///{tmp_path}/x.db", CONDUIT_HOST="0.0.0.0"
    ) as server:
        wanted = (
            f"Conduit {__version__} listens on http://0.0.0.0:{server.port}; "
            f"dashboard: http://localhost:{server.port}/ui/; "
            f"docs: http://localhost:{server.port}/docs; store: sqlite, {tmp_path}/x.db; "
            "auth: none, so any web page that you visit can use this server; "
            "restrict it with CORS_ORIGIN or ENABLE_AUTH=true"
        )
        until(lambda: wanted in _events(server))
        assert Api(f"http://localhost:{server.port}").get("/docs").status == 200


def test_a_relative_sqlite_path_lies_in_the_working_directory():
    with running_server(DATABASE_URL="sqlite:///here.db") as server:
        assert (server.directory / "here.db").exists()


def test_node_id_is_shown_in_health_and_is_the_hostname_by_default():
    with running_server(NODE_ID="node-7") as server:
        assert Api(server.url).get("/health").json["node_id"] == "node-7"
    with running_server() as server:
        assert Api(server.url).get("/health").json["node_id"] == socket.gethostname()


def test_cors_allows_any_origin_by_default(api):
    for path in ("/api/topics", "/health"):
        answer = api.request("GET", path, headers={"origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == "*"
    refused = api.request("POST", "/api/publish", b"{", {"origin": ORIGIN})
    assert refused.headers["access-control-allow-origin"] == "*", "a page must see why"


def test_cors_preflight_allows_what_a_publisher_sends(api):
    answer = preflight(api, ORIGIN)
    assert answer.status in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert allowed == "*" or ("content-type" in allowed and "idempotency-key" in allowed)


def test_cors_origin_restricts_http_and_preflight_to_one_origin():
    with running_server(CORS_ORIGIN=ORIGIN) as server:
        api = Api(server.url)
        api.create_topic("t")
        body = b'{"topic":"t","payload":1}'
        of_page = {"origin": ORIGIN, "content-type": "application/json"}
        mine = api.request("POST", "/api/publish", body, of_page)
        assert mine.headers["access-control-allow-origin"] == ORIGIN
        assert "origin" in mine.headers["vary"].lower()
        assert preflight(api, ORIGIN).headers["access-control-allow-origin"] == ORIGIN
        for answer in (
            api.request("GET", "/api/topics", headers={"origin": "https://evil.example"}),
            api.request("POST", "/api/publish", body, {"origin": "https://evil.example"}),
            preflight(api, "https://evil.example"),
        ):
            assert (answer.status, answer.json["code"]) == (403, "forbidden")
            assert "access-control-allow-origin" not in answer.headers
        assert api.topic("t")["message_count"] == 1


def test_cors_origin_restricts_websockets_to_pages_of_one_origin():
    with running_server(CORS_ORIGIN=ORIGIN) as server:
        for origin in (Origin(ORIGIN), None):
            with connect(server.ws_url, origin=origin, proxy=None):
                pass
        evil = Origin("https://evil.example")
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(server.ws_url, origin=evil, proxy=None),
        ):
            pass
        answer = refused.value.response
        assert (answer.status_code, json.loads(answer.body)["code"]) == (403, "forbidden")


def test_a_page_of_the_servers_own_name_is_known_by_it_only_where_a_key_is_needed():
    own = {"host": "conduit.example", "origin": "https://conduit.example"}
    for auth, status in (
        ({}, 403),
        ({"ENABLE_AUTH": "true", "DEFAULT_API_KEY": "key-of-no-other-test"}, 401),
    ):
        with running_server(CORS_ORIGIN=ORIGIN, **auth) as server:
            answer = Api(server.url).request("GET", "/api/topics", None, own)
            assert answer.status == status


def test_a_server_that_everybody_reaches_without_a_key_says_so_loudly():
    warning = "whoever reaches this port can read, publish and delete everything"
    with running_server(CONDUIT_HOST="0.0.0.0", CONDUIT_LOG_LEVEL="warning") as server:
        server.logged(warning)
        auth = Api(server.url).get("/health").json["auth"]
        assert auth == {"enabled": False, "open_to": "network", "pages": "any"}
    with running_server(CORS_ORIGIN=ORIGIN) as server:
        server.logged("; auth: none")
        assert warning not in server.log_text()
        assert "any web page" not in server.log_text()
        auth = Api(server.url).get("/health").json["auth"]
        assert auth == {"enabled": False, "open_to": "loopback", "pages": "named"}
    with running_server(
        CONDUIT_HOST="0.0.0.0", ENABLE_AUTH="true", DEFAULT_API_KEY="0123456789abcdef"
    ) as server:
        server.logged("; auth: keys and tokens")
        assert warning not in server.log_text()


def test_an_unknown_conduit_variable_is_warned_about_by_name():
    with running_server(CONDUIT_MAX_PAYLAOD_BYTES="5") as server:
        server.logged("CONDUIT_MAX_PAYLAOD_BYTES")


def test_variables_of_other_programs_are_not_warned_about():
    with running_server(MAX_PAYLOAD_BYTES="5", CONDUITS="x") as server:
        assert "MAX_PAYLOAD_BYTES" not in server.log_text()
        assert "CONDUITS" not in server.log_text()


def test_all_bad_settings_are_listed_at_once_with_exit_code_2(tmp_path):
    done = serve_and_fail(
        tmp_path,
        PORT="eighty",
        DATABASE_URL="mysql://user:s3cret@db/x",
        CORS_ORIGIN="not an origin",
        CONDUIT_MAX_PAYLOAD_BYTES="-1",
    )
    assert done.returncode == 2
    for name in ("PORT", "DATABASE_URL", "CORS_ORIGIN", "CONDUIT_MAX_PAYLOAD_BYTES"):
        assert name in done.stderr, name
    assert "s3cret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_what_cannot_work_together_is_refused_at_once_with_what_to_do(tmp_path):
    done = serve_and_fail(
        tmp_path,
        DATABASE_URL="sqlite:///x.db",
        REDIS_URL="redis://localhost:6379",
        INTERNAL_SECRET="s3cret",
        NODE_ADDR="nowhere",
    )
    assert done.returncode == 2
    for said in ("a SQLite file is one server's", "16 characters or more", "NODE_ADDR"):
        assert said in " ".join(done.stderr.split()), said
    assert "s3cret" not in done.stderr + done.stdout
    assert not list(tmp_path.glob("x.db*"))


def test_a_port_in_use_is_an_error_that_names_it(tmp_path, server):
    done = serve_and_fail(tmp_path, PORT=str(server.port), CONDUIT_HOST="127.0.0.1")
    assert done.returncode not in (0, 2)
    assert str(server.port) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_low_payload_limit_is_kept_over_http_and_websocket():
    with running_server(CONDUIT_MAX_PAYLOAD_BYTES="100") as server:
        api = Api(server.url)
        api.create_topic("t")
        api.publish("t", "x" * 98)
        assert api.post("/api/publish", {"topic": "t", "payload": "x" * 99}).status == 413
        with WsClient(server.ws_url) as ws:
            ws.send({"type": "publish", "topic": "t", "payload": "x" * 99, "ref": "a"})
            error = ws.receive("error", ref="a")
            assert error["code"] == "payload_too_large"
            ws.barrier()
        assert [message["seq"] for message in api.browse("t")] == [1]


def test_auto_create_topics_makes_publishing_to_an_unknown_topic_work():
    with running_server(CONDUIT_AUTO_CREATE_TOPICS="true") as server:
        api = Api(server.url)
        assert api.publish("made.by.publish", 1)["seq"] == 1
        assert api.post("/api/publish", {"topic": "no good", "payload": 1}).code == "invalid_topic"


def test_the_most_topics_and_the_most_subscriptions_of_a_connection_are_kept():
    with running_server(
        CONDUIT_MAX_TOPICS="2",
        CONDUIT_MAX_SUBSCRIPTIONS="1",
        CONDUIT_MAX_SUBSCRIPTIONS_PER_CONNECTION="3",
    ) as server:
        api = Api(server.url)
        api.create_topic("a")
        api.create_topic("b")
        refused = api.post("/api/topics", {"name": "c"})
        assert (refused.status, refused.code) == (403, "limit_reached")
        with WsClient(server.ws_url) as ws:
            for pattern in ("a", "b", "*"):
                ws.subscribe(pattern)
            ws.send({"type": "subscribe", "topic": ">", "ref": "fourth"})
            assert ws.receive("error", ref="fourth")["code"] == "limit_reached"
            ws.request("unsubscribe", topic="*")
            ws.subscribe(">")
        assert api.post("/api/subscriptions", {"name": "one", "topic": "*"}).status == 201
        refused = api.post("/api/subscriptions", {"name": "two", "topic": "*"})
        assert (refused.status, refused.code) == (403, "limit_reached")


def test_a_redrive_to_a_subscription_with_as_many_retries_as_may_wait_is_refused():
    with running_server(CONDUIT_MAX_PENDING_RETRIES="1") as server:
        api = Api(server.url)
        api.create_topic("t")
        with WsClient(server.ws_url) as client:
            client.subscribe("t", subscription="s")
            api.publish("t", "is rejected")
            api.publish("t", "waits")
            rejected, waits = client.messages(2)
            client.request("reject", message_id=rejected["message_id"])
            client.request("nack", message_id=waits["message_id"], delay_ms=60_000)
            (dead,) = api.get("/api/dlq").json["dead_letters"]
            refused = api.post(f"/api/dlq/{dead['id']}/redrive")
            assert (refused.status, refused.code) == (429, "subscription_full")
            assert api.get("/api/subscriptions/s").json["full"] is True


def test_a_page_of_another_origin_opens_no_websocket_where_one_origin_is_allowed():
    handshake = {
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with running_server(CORS_ORIGIN=ORIGIN) as server:
        other = handshake | {"origin": "https://other.example"}
        refused = Api(server.url).request("GET", "/ws", headers=other)
        assert (refused.status, refused.code) == (403, "forbidden")
        with WsClient(server.ws_url) as client:
            client.barrier()


def test_the_value_of_a_secret_setting_is_masked_wherever_it_stands_in_the_log():
    secret = "correct-horse-battery"
    with running_server(INTERNAL_SECRET=secret, DATABASE_URL=f"sqlite:///{secret}.db") as server:
        until(lambda: any("….db" in event for event in _events(server)))
        assert secret not in server.log_text()
