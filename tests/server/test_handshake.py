from __future__ import annotations

import pytest

from conduit.errors import InvalidRequest
from conduit.server.handshake import check_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "host": "localhost",
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"connection": "keep-alive, Upgrade"},
        {"connection": "UPGRADE ,close"},
        {"upgrade": "WebSocket"},
        {"upgrade": "h2c, websocket"},
        {"sec-websocket-key": f" {KEY} "},
        {"sec-websocket-extensions": "permessage-deflate"},
    ],
)
def test_a_good_upgrade_request_yields_its_key(change: dict[str, str]):
    assert check_upgrade({**GOOD, **change}) == KEY


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("upgrade_required", {"upgrade": ""}),
        ("upgrade_required", {"upgrade": "h2c"}),
        ("upgrade_required", {"connection": ""}),
        ("upgrade_required", {"connection": "keep-alive"}),
        ("upgrade_required", {"connection": "no-upgrade"}),
        ("upgrade_required", {"sec-websocket-version": ""}),
        ("upgrade_required", {"sec-websocket-version": "8"}),
        ("invalid_request", {"sec-websocket-key": ""}),
        ("invalid_request", {"sec-websocket-key": "c2hvcnQ="}),
        ("invalid_request", {"sec-websocket-key": KEY[:-2] + "\r\n"}),
        ("invalid_request", {"sec-websocket-key": "*" * 24}),
        ("invalid_request", {"sec-websocket-key": "é" * 24}),
    ],
)
def test_any_other_request_is_refused_with_a_code(code: str, change: dict[str, str]):
    with pytest.raises(InvalidRequest) as refusal:
        check_upgrade({**GOOD, **change})
    assert refusal.value.code == code


@pytest.mark.parametrize("name", ["upgrade", "connection", "sec-websocket-version"])
def test_a_request_that_does_not_ask_for_an_upgrade_is_told_to(name: str):
    headers = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(InvalidRequest) as refusal:
        check_upgrade(headers)
    assert refusal.value.code == "upgrade_required"
