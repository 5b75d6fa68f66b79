import json
import secrets
import tempfile

import pytest

from tests.crash.run import Plan, crash
from tests.support.disk import NoDisk
from tests.support.scratch import DISK

# Long enough that publishes are told that the outcome is not known.
PAUSE_S = 2.5


@pytest.fixture
def struck(tmp_path, capsys, monkeypatch):
    """Run one plan on the disk, print its line, and fail if a promise was broken."""
    monkeypatch.setattr(tempfile, "tempdir", DISK)

    def run(store, fault, times):
        history = tmp_path / "history.jsonl"
        try:
            summary = crash(Plan(store, fault, times, secrets.randbits(32), PAUSE_S), history)
        except NoDisk as reason:
            pytest.skip(str(reason))
        with capsys.disabled():
            print(f"\n{json.dumps(summary)}")
        assert not summary["violations"], f"{summary['samples']}; the history is in {history}"
        assert summary["acked"] > 50 * times, "too little load to prove anything"
        return summary

    return run


@pytest.fixture
def kills(request):
    return request.config.getoption("--crash-kills")


@pytest.mark.crash
def test_nothing_acked_is_lost_and_no_promise_broken_when_the_server_is_killed_again_and_again(
    struck, kills
):
    assert struck("sqlite", "server", kills)["dead"] > 0


@pytest.mark.crash
@pytest.mark.parametrize("fault", ["server", "postmaster"])
def test_on_postgresql_no_promise_is_broken_when_the_server_or_the_database_is_killed(
    struck, kills, fault
):
    struck("postgres", fault, kills)


@pytest.mark.crash
def test_a_connection_reset_inside_a_commit_loses_nothing_and_stores_nothing_twice(struck, kills):
    summary = struck("postgres", "reset", kills)
    assert summary["hits"] == kills
    assert "late" not in summary["stored_by_way"], (
        "an append arrived after its fence and was stored"
    )


@pytest.mark.crash
def test_a_database_that_stops_answering_for_a_while_loses_nothing(struck):
    assert "outcome_unknown" in struck("postgres", "stop", 1)["codes"]


@pytest.mark.crash
def test_a_full_disk_of_the_database_is_answered_with_503_and_loses_nothing(struck):
    summary = struck("postgres", "disk", 1)
    assert summary["codes"].get("store_unavailable", 0) > 0
    assert summary["panicked"], "the WAL was meant to be full too"
    assert summary["acked_while_down"] == 0
