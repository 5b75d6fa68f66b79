import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import clean_environment, running_server

REPLAY = Path(__file__).parents[2] / "examples" / "replay" / "replay.py"
# 400 days a second: four seconds for the four years.
SPEED = str(400 * 86_400)


@pytest.mark.e2e
def test_the_replay_loses_nothing_and_keeps_the_order_and_can_be_run_again():
    with running_server(DATABASE_URL="sqlite:///replay.db") as server:
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, REPLAY, "--url", server.url, "--speed", SPEED],
                env=clean_environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr + server.log_tail()
            assert "1,461 of 1,461 days" in done.stdout
            assert "killed and started again" in done.stdout
            assert done.stdout.endswith("nothing lost, nothing out of order\n")
