"""The dashboard behind a proxy that has put it below a path of its own, which the server never hears of."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.access import guarded_server
from tests.support.http import Api
from tests.support.server import RunningServer, free_port, running_server
from tests.support.wait import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /a/b/ {{
            proxy_pass http://127.0.0.1:{server}/;
            proxy_set_header Host $http_host;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(DATABASE_URL="sqlite:///x.db") as server:
        Api(server.url).request("POST", "/api/topics", b'{"name": "orders.created"}')
        yield server


@contextlib.contextmanager
def proxied(server: RunningServer, folder: Path) -> Iterator[str]:
    """The address of an nginx that has the server at /a/b/."""
    program = shutil.which("nginx", path=f"{os.defpath}:/usr/sbin")
    assert program is not None, "no nginx: as root, make services"
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, server=server.port))
    process = subprocess.Popen((program, "-p", str(folder), "-c", str(config)))
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: _answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def proxy(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with proxied(server, Path(tmp_path_factory.mktemp("nginx"))) as url:
        yield url


def _answers(url: str) -> bool:
    try:
        return Api(url).get("/a/b/health").status == 200
    except OSError:
        return False


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page()
    page.set_default_timeout(15_000)
    yield page
    page.close()


def test_every_address_stays_below_the_path(page, proxy):
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{proxy}/a/b/")
    page.get_by_role("heading", name="Overview").wait_for()
    assert page.url == f"{proxy}/a/b/ui/"
    page.get_by_role("link", name="Topics", exact=True).first.click()
    page.get_by_role("link", name="orders.created").click()
    page.get_by_text("Messages stored").wait_for()
    assert page.url == f"{proxy}/a/b/ui/topics/orders.created"
    page.reload()
    page.get_by_text("Messages stored").wait_for()
    page.get_by_role("link", name="Connect").click()
    page.get_by_text(f"curl {proxy}/a/b/api/publish").wait_for()
    assert said == []
    assert not [url for url in asked if not url.startswith(f"{proxy}/a/b/")]


def test_live_connections_and_links_to_messages_do_as_well(page, proxy):
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"{proxy}/a/b/ui/playground?topic=orders.created")
    page.get_by_text("Connected").wait_for()
    until(lambda: sockets == [f"{proxy}/a/b/ws".replace("http", "ws", 1)])
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_text("the last one is orders.created 1").wait_for()
    page.goto(f"{proxy}/a/b/ui/messages?topic=orders.created")
    page.get_by_role("link", name="Message 1", exact=True).click()
    page.get_by_role("heading", name="orders.created 1").wait_for()
    assert page.url.startswith(f"{proxy}/a/b/ui/messages?topic=orders.created&msg=")


def test_who_signs_in_has_a_cookie_for_that_path_and_no_other(page, tmp_path):
    with (
        guarded_server(DATABASE_URL="sqlite:///x.db") as guarded,
        proxied(guarded.server, tmp_path) as proxy,
    ):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url.partition("?")[0]))
        guarded.operator.create_topic("live")
        page.goto(f"{proxy}/a/b/ui/api-keys")
        page.get_by_label("API key").fill(guarded.operator.key)
        page.keyboard.press("Enter")
        page.get_by_text("yours").wait_for()
        page.locator("main [data-row]").first.click()
        page.get_by_role("link", name="What it has done").click()
        page.wait_for_url(f"{proxy}/a/b/ui/audit?actor=*")
        page.goto(f"{proxy}/a/b/ui/messages?topic=live&read=live")
        page.get_by_text("Connected").wait_for()
        guarded.operator.publish("live", "below a path")
        page.get_by_text('"below a path"').wait_for()
        assert sockets == [f"{proxy}/a/b/ws".replace("http", "ws", 1)]
        page.goto(f"{proxy}/a/b/ui/api-keys")
        page.get_by_text("yours").wait_for()
        (cookie,) = page.context.cookies()
        assert cookie["path"] == "/a/b/"
        assert page.context.cookies(f"{proxy}/a/") == []
        page.reload()
        page.get_by_text("yours").wait_for()
        page.get_by_role("button", name="Signed in as").click()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("heading", name="Sign in").wait_for()
        assert page.context.cookies() == []
        assert not [url for url in asked if not url.startswith(f"{proxy}/a/b/")]
