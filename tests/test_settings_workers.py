"""Which settings go together with several workers."""

import sys

import pytest

from conduit.environment import load_settings
from conduit.errors import ConfigError

SECRET = "of-the-nodes-0123456789"


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_settings(environ)
    return raised.value.problems


WORKERS = {"CONDUIT_WORKERS": "3", "DATABASE_URL": "postgresql://h/conduit"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"DATABASE_URL": ""},
            "needs PostgreSQL, which processes can share, and the log is in the memory",
        ),
        (
            {"DATABASE_URL": "sqlite:///c.db"},
            "needs PostgreSQL, which processes can share, and one process",
        ),
        ({"NODE_ID": "n" * 254}, "puts -1 to -3 behind NODE_ID, which is too long"),
        ({"NODE_ADDR": "10.0.0.7:9001"}, "with NODE_ADDR needs INTERNAL_SECRET"),
        (
            {"NODE_ADDR": "localhost:8078"},
            "8078 to 8080 (NODE_ADDR), and PORT, which they share, is one",
        ),
        ({"CONDUIT_ADMIN_PORT": "8079"}, "8079 to 8081 (CONDUIT_ADMIN_PORT), and PORT"),
        (
            {"CONDUIT_ADMIN_PORT": "65534"},
            "from 65534 (CONDUIT_ADMIN_PORT) on, and there are none behind",
        ),
        (
            {"CONDUIT_ADMIN_PORT": "9003", "NODE_ADDR": "localhost:9001"},
            "from CONDUIT_ADMIN_PORT (9003) on and one from that of NODE_ADDR (9001) on, and these overlap",
        ),
    ],
)
def test_workers_that_could_not_serve_are_refused_with_the_reason(given, said):
    (sentence,) = problems(**WORKERS | given)
    assert sentence.startswith("CONDUIT_WORKERS ")
    assert said in sentence


def test_all_that_is_wrong_with_workers_is_said_at_once():
    (sentence,) = problems(CONDUIT_WORKERS="2", NODE_ADDR="h:8080", CONDUIT_ADMIN_PORT="8079")
    assert sentence.count("; and ") == 2


def test_workers_go_with_ports_that_do_not_overlap_and_one_worker_with_everything():
    given = {"CONDUIT_ADMIN_PORT": "9001", "NODE_ADDR": "10.0.0.7:9004", "INTERNAL_SECRET": SECRET}
    assert load_settings(WORKERS | given).workers == 3
    alone = {"CONDUIT_WORKERS": "1", "NODE_ADDR": "10.0.0.7:8080"}
    assert load_settings(alone).workers == 1


def test_workers_need_no_secret_for_redis_and_one_that_is_set_needs_an_address():
    assert load_settings(WORKERS | {"REDIS_URL": "redis://h:6379"}).warnings == ()
    (warning,) = load_settings(WORKERS | {"INTERNAL_SECRET": SECRET}).warnings
    assert warning.startswith("NODE_ADDR is not set: nodes on other machines do not reach")


def test_where_a_port_is_not_shared_out_workers_are_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    (sentence,) = problems(**WORKERS)
    assert "needs Linux" in sentence
