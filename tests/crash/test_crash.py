import json
import secrets

import pytest

from tests.crash.run import crash


@pytest.mark.crash
@pytest.mark.timeout(180)
def test_nothing_acked_is_lost_and_no_promise_broken_when_the_server_is_killed_again_and_again(
    request, tmp_path, capsys
):
    kills = request.config.getoption("--crash-kills")
    history = tmp_path / "history.jsonl"
    summary = crash(kills, secrets.randbits(32), history)
    with capsys.disabled():
        print(f"\n{json.dumps(summary)}")
    assert summary["violations"] == {}, f"the history is in {history}"
    assert summary["acked"] > 50 * kills, "too little load to prove anything"
    assert summary["dead"] > 0
