"""The operator's port, beside the one for everybody."""

import contextlib

import pytest

from conduit import __version__
from tests.support.http import Api
from tests.support.raw import RawHttp
from tests.support.server import ServerError, free_port, running_server
from tests.support.wait import until

SECRET = "0123456789abcdef"
AUTH = {"ENABLE_AUTH": "true", "DEFAULT_API_KEY": SECRET}
KEY = {"x-api-key": SECRET}


@pytest.fixture(scope="module", params=[AUTH, {}], ids=["auth", "open"])
def place(request):
    port = free_port()
    with running_server(CONDUIT_ADMIN_PORT=str(port), CORS_ORIGIN="*", **request.param) as server:
        yield server, port


def test_it_has_metrics_documents_and_all_of_the_health_without_a_key(place):
    server, port = place
    operators = Api(f"http://127.0.0.1:{port}")
    assert "conduit_published_total" in operators.get("/metrics").body.decode()
    assert operators.get("/health").json["version"] == __version__
    assert operators.get("/health/ready").json == {"status": "ready"}
    document = operators.get("/openapi.json").json
    assert document["info"]["version"] == __version__
    assert ("security" in document) == ("ENABLE_AUTH" in server.env)
    assert operators.get("/docs").status == 200
    index = operators.get("/").json
    assert index["version"] == __version__
    assert not {"publish", "websocket"} & index.keys()
    for path in (path for path in index.values() if path.startswith("/")):
        assert operators.get(path).status == 200
    assert "docs: " not in server.log_text()
    until(
        lambda: (
            f"for operators, without a key: http://127.0.0.1:{port}/metrics" in server.log_text()
        )
    )


def test_nothing_can_be_done_there(place):
    server, port = place
    operators = Api(f"http://127.0.0.1:{port}")
    for method, path in (
        ("POST", "/api/publish"),
        ("POST", "/api/publish/batch"),
        ("POST", "/api/topics"),
        ("GET", "/api/topics"),
        ("GET", "/api/keys"),
        ("POST", "/api/keys"),
        ("GET", "/ws"),
        ("GET", "/ui/"),
        ("GET", "/ui/topics/t"),
        ("POST", "/api/session"),
    ):
        answer = operators.request(method, path, b"{}" if method == "POST" else None, KEY)
        assert (answer.status, answer.code) == (404, "not_found"), path
    with contextlib.closing(RawHttp(port)) as client:
        client.send(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert client.answer()[0] == 404
    assert Api(server.url).request("GET", "/api/topics", None, KEY).json["topics"] == []


def test_the_dashboard_is_at_the_port_for_everybody_and_a_browser_is_sent_to_it_only_there(place):
    server, port = place
    html = {"accept": "text/html"}
    operators, everybody = Api(f"http://127.0.0.1:{port}"), Api(server.url)
    assert operators.request("GET", "/", None, html).json["name"] == "Conduit"
    assert "dashboard" not in operators.get("/").json
    page = everybody.request("GET", "/ui/", None, html)
    # Also where it was not built: then it says so.
    assert page.status in (200, 503)
    assert page.headers["content-type"].startswith("text/html")


def test_no_page_reads_it_although_all_may_call_the_other(place):
    _, port = place
    operators = Api(f"http://127.0.0.1:{port}")
    answer = operators.request("GET", "/metrics", None, {"origin": "https://app.example"})
    assert (answer.status, answer.code) == (403, "forbidden")
    for headers in ({}, {"origin": f"http://127.0.0.1:{port}"}):
        answer = operators.request("GET", "/metrics", None, headers)
        assert answer.status == 200
        assert "access-control-allow-origin" not in answer.headers


def test_no_answer_names_the_program(place):
    server, port = place
    for number, method, path in (
        (server.port, "GET", "/health"),
        (server.port, "GET", "/nowhere"),
        (server.port, "POST", "/api/publish"),
        (server.port, "GET", "/ws"),
        (port, "GET", "/metrics"),
    ):
        body = b"{" if method == "POST" else None
        answer = Api(f"http://127.0.0.1:{number}").request(method, path, body, KEY)
        assert "date" in answer.headers
        assert not {"server", "x-powered-by"} & answer.headers.keys()


def test_the_other_has_them_no_more(place):
    server, _ = place
    for path in ("/metrics", "/docs", "/openapi.json"):
        answer = Api(server.url).request("GET", path, None, KEY)
        assert (answer.status, answer.code) == (404, "not_found")


def test_a_port_that_is_taken_is_said_at_the_start():
    with (
        running_server() as other,
        pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1:{other.port}"),
        running_server(CONDUIT_ADMIN_PORT=str(other.port)),
    ):
        pass


def test_without_it_the_document_says_who_signs_in_too():
    with running_server(**AUTH) as server:
        document = Api(server.url).get("/openapi.json").json
        assert set(document["components"]["securitySchemes"]) == {"bearer", "key"}
        assert document["security"] == [{"bearer": []}, {"key": []}]


@pytest.mark.parametrize(("host", "is_warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_it_is_said_if_others_than_this_machine_reach_it(host, is_warned):
    with running_server(CONDUIT_ADMIN_PORT="0", CONDUIT_ADMIN_HOST=host) as server:
        server.terminate()
        server.logged("for operators, without a key: http://")
        assert ("CONDUIT_ADMIN_HOST must be an address" in server.log_text()) == is_warned


def test_it_is_closed_with_the_rest():
    port = free_port()
    with (
        running_server(CONDUIT_ADMIN_PORT=str(port)) as server,
        contextlib.closing(RawHttp(port)) as idle,
    ):
        idle.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.answer()[0] == 200
        code, took_s = server.terminate()
        assert code == 0
        assert took_s < 8
