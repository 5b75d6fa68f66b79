"""No secret gets into the log of whoever uses the client."""

from __future__ import annotations

import logging

import pytest

from conduit.client import AsyncConduit
from conduit.client.place import find
from conduit.errors import InvalidRequest

KEY = "ck_live_Ab3dEf7h_0123456789abcdefghijklmnopqrstuvWXYZ12"
SHOWN = "ck_live_Ab3dEf7h_…"


@pytest.fixture(params=["conduit.client", "websockets.client", "websockets.client.conduit"])
def log(request, caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.DEBUG, request.param)
    return logging.getLogger(request.param)


def test_no_secret_is_in_a_record(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log.debug("> %s: %s", "Authorization", f"Bearer {KEY}")
    log.warning("gap in %s: %d", KEY, 3)
    try:
        raise ValueError(KEY)
    except ValueError:
        log.exception("failed")
    assert KEY[20:] not in caplog.text
    assert caplog.messages == ["> Authorization: …", f"gap in {SHOWN}: 3", "failed"]
    assert f"ValueError: {SHOWN}" in caplog.text


def test_a_record_without_one_is_as_it_was(
    log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("x")
    log.warning("%s; trying again in %.1f s", "lost", 2, exc_info=error)
    (record,) = caplog.records
    assert (record.msg, record.args) == ("%s; trying again in %.1f s", ("lost", 2))
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_an_address_with_a_password_does_not_show_it() -> None:
    assert "pass" not in repr(find("http://user:pass@events.example"))
    with pytest.raises(InvalidRequest) as caught:
        AsyncConduit("ftp://user:pass@events.example")
    assert "pass" not in str(caught.value)
