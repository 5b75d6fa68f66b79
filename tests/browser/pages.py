"""A real browser, pages of some origin in it, and all that such a page can try."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "google-chrome")
# What a browser fetches for itself, and waits for; and the pages that it loads for the address bar of each
# window, which nobody sees: a third of what a window costs. Playwright has such a list, which this replaces.
TURNED_OFF = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
)

# Each try says what the page has learned: "blocked", or what it has read. None of them may take long: what a
# browser blocks it blocks at once, and what it sends is answered at once.
TRIES = """
window.tries = (http, ws, topic, key) => {
  const late = (promise, ms = 3000) => Promise.race([
    promise, new Promise(done => setTimeout(() => done("blocked"), ms))]);
  const call = async (path, options) => {
    try {
      const answer = await fetch(http + path, options);
      if (answer.type === "opaque") return "blocked";
      return {status: answer.status, body: await answer.text()};
    } catch { return "blocked"; }
  };
  const publish = JSON.stringify({topic, payload: "of a page"});
  const with_key = key ? {authorization: "Bearer " + key} : {};
  const json = {"content-type": "application/json", ...with_key};
  const simple = body => call("/api/publish", {method: "POST", mode: "no-cors", body});
  const form = (enctype) => new Promise(done => {
    const frame = Object.assign(document.createElement("iframe"), {name: "f" + Math.random()});
    const sent = Object.assign(document.createElement("form"),
      {method: "post", action: http + "/api/publish", target: frame.name, enctype});
    // As text/plain this is name=value, and with a JSON text around the sign it is JSON.
    sent.append(Object.assign(document.createElement("input"),
      {name: `{"topic":"${topic}","payload":"`, value: `"}`}));
    document.body.append(frame, sent);
    frame.onload = () => { try { done(frame.contentDocument.body.innerText || "blocked"); }
                           catch { done("blocked"); } };
    sent.submit();
  });
  const element = (tag, attributes) => new Promise(done => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.onload = () => done("loaded");
    made.onerror = () => done("blocked");
    document.body.append(made);
  });
  const framed = () => new Promise(done => {
    const made = Object.assign(document.createElement("iframe"), {src: http + "/api/topics"});
    made.onload = () => { try { done(made.contentDocument.body.innerText || "blocked"); }
                          catch { done("blocked"); } };
    document.body.append(made);
  });
  const socket = () => new Promise(done => {
    const got = [], refs = new Set();
    const open = new WebSocket(ws);
    open.onopen = () => {
      if (key) open.send(JSON.stringify({type: "auth", token: key}));
      open.send(JSON.stringify({type: "subscribe", topic, start: "earliest", ack: "auto", ref: "s"}));
      open.send(JSON.stringify({type: "publish", topic, payload: "of a socket", ref: "p"}));
    };
    open.onmessage = event => {
      const frame = JSON.parse(event.data);
      if (frame.type !== "error") got.push(frame.type);
      refs.add(frame.ref);
      if (refs.has("s") && refs.has("p")) done(got.length ? got : "blocked");
    };
    open.onclose = () => done(got.length ? got : "blocked");
  });
  const source = () => new Promise(done => {
    const open = new EventSource(http + "/api/topics");
    open.onmessage = event => done(event.data);
    open.onerror = () => { open.close(); done("blocked"); };
  });
  return {
    late, call,
    read: () => call("/api/topics", {headers: with_key}),
    read_message: () => call(`/api/topics/${topic}/messages`, {headers: with_key}),
    read_opaque: () => call("/api/topics", {mode: "no-cors"}),
    health: () => call("/health"),
    metrics: () => call("/metrics", {headers: with_key}),
    publish: () => call("/api/publish", {method: "POST", headers: json, body: publish}),
    batch: () => call("/api/publish/batch", {method: "POST", headers: json,
      body: JSON.stringify({messages: [JSON.parse(publish)]})}),
    create: () => call("/api/topics", {method: "POST", headers: json,
      body: JSON.stringify({name: "made-by-a-page"})}),
    remove: () => call(`/api/topics/${topic}`, {method: "DELETE", headers: with_key}),
    pause: () => call("/api/subscriptions/s/pause", {method: "POST", headers: with_key}),
    keys: () => call("/api/keys", {headers: with_key}),
    simple_text: () => simple(publish),
    simple_bytes: () => simple(new TextEncoder().encode(publish)),
    simple_blob: () => simple(new Blob([publish])),
    simple_form: () => simple(new URLSearchParams([[publish, ""]])),
    simple_parts: () => { const parts = new FormData(); parts.append("x", publish); return simple(parts); },
    beacon_text: async () => { navigator.sendBeacon(http + "/api/publish", publish); return "blocked"; },
    beacon_bytes: async () => {
      navigator.sendBeacon(http + "/api/publish", new TextEncoder().encode(publish)); return "blocked"; },
    form_text: () => form("text/plain"),
    form_coded: () => form("application/x-www-form-urlencoded"),
    form_parts: () => form("multipart/form-data"),
    image: () => element("img", {src: http + "/api/topics"}),
    script: () => element("script", {src: http + "/api/topics"}),
    style: () => element("link", {rel: "stylesheet", href: http + "/api/topics"}),
    framed, socket, source,
  };
};
"""
_PAGE = f"<!doctype html><body><script>{TRIES}</script>".encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving_pages() -> Iterator[int]:
    """The port of 127.0.0.1 at which every path is the page with the tries."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """The system's browser; nothing is downloaded."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path is not None, "no browser: as root, make services"
    # Here, because the fast tests collect this folder where Playwright is not installed.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        off = f"--disable-features={','.join(TURNED_OFF)}"
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage", off]
        )
        yield browser
        browser.close()


class Tries:
    """A page of an origin, and what it learns of a server."""

    def __init__(
        self, browser: Browser, origin: str, server: str, topic: str, key: str = ""
    ) -> None:
        self._page = browser.new_context().new_page()
        self._page.goto(origin)
        self._to = [server, server.replace("http", "ws", 1) + "/ws", topic, key]

    def use_ticket(self, ticket: str) -> None:
        """Open WebSockets with it from now on."""
        self._to[1] += f"?ticket={ticket}"

    def run(self, name: str) -> Any:
        """What comes of one of the tries: "blocked", or what was read."""
        return self._page.evaluate(
            "([name, to]) => { const all = window.tries(...to); return all.late(all[name]()); }",
            [name, self._to],
        )

    def all(self) -> dict[str, Any]:
        """All of them, one after the other; what may remove the topic comes last."""
        names = self._page.evaluate("to => Object.keys(window.tries(...to))", self._to)
        left = [name for name in names if name not in ("late", "call", "remove")]
        return {name: self.run(name) for name in (*left, "remove")}

    def close(self) -> None:
        self._page.context.close()
