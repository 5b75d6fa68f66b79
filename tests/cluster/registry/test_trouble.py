"""What is said of redis-py's errors. Most of them are met by `test_registry_troubles.py`."""

import ssl

import pytest
from redis import exceptions

from conduit.cluster.registry.trouble import Trouble, translated, unavailable
from conduit.errors import RegistryUnavailable

SECRET = "10.1.2.3:6379 as conduit"


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (TimeoutError(SECRET), Trouble.SLOW),
        (exceptions.TimeoutError(SECRET), Trouble.SLOW),
        (exceptions.BusyLoadingError(SECRET), Trouble.BUSY),
        (exceptions.ResponseError(f"LOADING {SECRET}"), Trouble.BUSY),
        (exceptions.ResponseError(f"MISCONF {SECRET}"), Trouble.UNSAVED),
        # Redis 6: of what a script met.
        (
            exceptions.ResponseError(f"Error running script: -READONLY You can't {SECRET}"),
            Trouble.READ_ONLY,
        ),
        (exceptions.MovedError("1 10.1.2.3:6379"), Trouble.CLUSTER),
        (exceptions.ClusterDownError(SECRET), Trouble.CLUSTER),
        (exceptions.ResponseError(f"unknown command 'EVAL' {SECRET}"), Trouble.NOT_REDIS),
        (exceptions.ResponseError(SECRET), Trouble.OTHER),
        (exceptions.InvalidResponse(SECRET), Trouble.NOT_REDIS),
        (ValueError(SECRET), Trouble.NOT_REDIS),
        (exceptions.ConnectionError(SECRET), Trouble.UNREACHABLE),
        (exceptions.ConnectionError("max number of clients reached"), Trouble.BUSY),
        (ssl.SSLError(1, SECRET), Trouble.TLS),
        (OSError(113, SECRET), Trouble.UNREACHABLE),
        (OSError(f"Multiple exceptions: {SECRET}"), Trouble.UNREACHABLE),
    ],
)
def test_every_error_has_a_word_and_its_text_is_not_told(error, trouble):
    told = translated(error)
    assert told.trouble == trouble
    assert SECRET not in told.detail
    assert "10.1.2.3" not in told.detail
    assert told.mend


def test_what_the_system_says_is_found_below_what_redis_py_makes_of_it():
    wrapped = exceptions.ConnectionError("Error 111 connecting")
    wrapped.__context__ = ConnectionRefusedError(111, "refused")
    assert translated(wrapped).detail == "it cannot be reached (nobody listens there)"


def test_an_error_is_translated_once():
    error = unavailable(Trouble.SILENT)
    assert translated(error) is error
    assert isinstance(error, RegistryUnavailable)


def test_the_code_of_a_refusal_is_told():
    told = translated(exceptions.ResponseError("TRYAGAIN later"))
    assert told.detail == "it refuses a command (TRYAGAIN)"


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_says_what_to_do(trouble):
    error = unavailable(trouble)
    assert error.detail
    assert error.mend
