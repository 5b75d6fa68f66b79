"""What is known of a node that there is no link to."""

import logging

import pytest

from conduit.cluster.links.peers import TOLD_AFTER_S
from conduit.cluster.links.proofs import Secrets
from tests.cluster.links.kit import Live, linked, meet, nodes, until

pytestmark = pytest.mark.slow


async def test_the_side_that_is_to_be_called_says_who_was_refused_and_why():
    async with nodes("a", secrets=("one-secret-of-nodes",)) as (a,), nodes("b") as (b,):
        meet(a, b)
        await until(lambda: b.links.views()[0].last_error)
        (view,) = b.links.views()
        assert view.state == "awaited"
        assert view.last_error.startswith("it has called, and was refused: the proof is wrong")
        b.links._secrets = Secrets(["one-secret-of-nodes"])
        await linked(a, b)
        a.link_to(b)._wire.abort()
        await until(lambda: b.links.counts.links_lost)
        assert "refused" not in b.links.views()[0].last_error


async def test_who_calls_with_the_name_of_another_run_says_nothing_of_this_one():
    async with nodes("a", secrets=("one-secret-of-nodes",)) as (a,), nodes("b") as (b,):
        b.links.set_live([Live("a", "0", "127.0.0.1:1")])
        a.links.set_live([b.live])
        await until(lambda: b.links.counts.refused)
        assert b.links.views()[0].last_error is None


async def test_the_side_that_is_to_be_called_says_that_nobody_has_called():
    async with nodes("b") as (b,):
        b.links.own_address = "10.0.0.2:8080"
        b.links.set_live([Live("a", "0", "127.0.0.1:1")])
        assert b.links.views()[0].last_error is None
        b.skipped_s += TOLD_AFTER_S
        await until(lambda: b.links.views()[0].is_missed)
        error = b.links.views()[0].last_error
        assert error.startswith("it has not called this node at 10.0.0.2:8080 (NODE_ADDR)")


async def test_that_a_node_ends_in_order_is_no_warning(caplog):
    caplog.set_level(logging.INFO)
    async with nodes("a", "b") as (a, b):
        meet(a, b)
        await linked(a, b)
        await b.links.stop()
        await until(lambda: a.links.to("b") is None)
    (record,) = [each for each in caplog.records if "no link to node b" in each.getMessage()]
    assert record.levelname == "INFO"
    assert record.getMessage().endswith("node b stops")
