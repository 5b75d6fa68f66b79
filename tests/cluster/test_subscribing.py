"""What is said of subscribers at other nodes, as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.broker.attach.elsewhere import Welcome
from conduit.cluster import subscribing
from conduit.cluster.links.frames import BODY_MAX_BYTES
from conduit.cluster.subscribing import PART_MAX_BYTES, Joiner, Opening, Said, parts
from conduit.errors import Conflict, InvalidRequest, Overloaded

SIZES = st.one_of(
    st.integers(0, 10),
    st.integers(PART_MAX_BYTES - 2, PART_MAX_BYTES + 2),
    st.integers(3 * PART_MAX_BYTES - 2, 3 * PART_MAX_BYTES + 2),
)


@given(st.lists(st.tuples(st.sampled_from(Said), SIZES), max_size=5))
def test_what_is_said_in_parts_is_heard_as_it_was_said(said):
    joiner, heard = Joiner(), []
    for kind, size in said:
        bodies = list(parts(kind, b"x" * size))
        assert all(0 < len(body) <= BODY_MAX_BYTES for body in bodies)
        whole = [each for body in bodies if (each := joiner.add(body)) is not None]
        assert whole == [(kind, b"x" * size, sum(map(len, bodies)))]
        heard.append((kind, size))
    assert heard == said


def test_an_opening_is_read_as_it_was_written():
    opening = Opening("incarnation", "tenant", b"{}")
    assert subscribing.decode_opening(subscribing.encode_opening(opening)) == opening


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\x93\x01\x02\x03",
        b"\xc1",
        b"\x93\xa1\xff\xa1a\xc4\x00",
        *(
            subscribing.encode_opening(Opening("incarnation", tenant, b"{}"))
            for tenant in ("", "\0zz", "a b", "x" * 64)
        ),
    ],
)
def test_what_is_no_opening_is_refused(body):
    with pytest.raises(InvalidRequest):
        subscribing.decode_opening(body)


def test_a_welcome_names_the_subscription():
    first = Welcome(7, 100, b"frame")
    assert subscribing.decode_welcome(subscribing.welcome(first)) == first
    with pytest.raises(InvalidRequest):
        subscribing.decode_welcome(b"short")


@pytest.mark.parametrize(
    "error",
    [
        Conflict("it has another ack", code="subscription_conflict", field="ack"),
        Overloaded("full", retry_after_s=3.0),
    ],
)
def test_an_error_arrives_with_all_that_a_client_is_told(error):
    found = subscribing.decode_failed(subscribing.failed(error))
    assert (type(found), found.code, found.detail) == (type(error), error.code, error.detail)
    assert found.field == error.field
    assert getattr(found, "retry_after_s", None) == getattr(error, "retry_after_s", None)
