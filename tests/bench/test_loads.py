import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import loads
from bench.loads import Load, LoadError
from tests.bench import work
from tests.support.wait import until

pytestmark = pytest.mark.process


def test_a_load_runs_in_a_process_of_its_own():
    process, _ = loads.run(work.tells_its_process)
    assert process != os.getpid()


def test_it_is_prepared_and_waits_until_it_may_go():
    with Load(work.doubles, 21) as load:
        load.wait_ready()
        with pytest.raises(LoadError, match="no sign"):
            load.result(within_s=0.05)
        load.go()
        assert load.result() == 42


def test_only_what_follows_ready_counts_as_its_cores():
    _, idle = loads.run(work.works, 0.2, 0.0, 0.1)
    _, busy = loads.run(work.works, 0.0, 0.2, 0.0)
    # Both share the machine with others. Were the work before counted, the idle one would have two cores.
    assert idle < busy <= 1.1


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (work.fails_at_once, "ValueError: no good"),
        (work.dies_at_once, "the load process has died"),
        (work.never_ready, "ended before it was ready"),
    ],
)
def test_what_is_not_ready_is_an_error(function, said):
    with Load(function) as load, pytest.raises(LoadError, match=said):
        load.wait_ready()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (work.fails_later, "ValueError: no good"),
        (work.dies_later, "the load process has died"),
        (work.returns_what_cannot_be_sent, "pickle"),
    ],
)
def test_what_does_not_end_well_is_an_error(function, said):
    with Load(function) as load:
        load.wait_ready()
        load.go()
        with pytest.raises(LoadError, match=said):
            load.result()


def test_one_that_dies_without_reading_its_start_is_an_error():
    with Load(work.dies_at_once) as load:
        load.go()
        with pytest.raises(LoadError, match="has died"):
            load.wait_ready()
        with pytest.raises(LoadError, match="has died"):
            load.go()


def test_a_load_that_takes_too_long_is_an_error_and_is_ended():
    with Load(work.hangs) as load:
        load.wait_ready()
        load.go()
        process, began = load._process, time.monotonic()
        with pytest.raises(LoadError, match=r"no sign of the load for 0\.05 s"):
            load.result(within_s=0.05)
        assert process.is_alive()
        assert time.monotonic() - began < 2
    assert process.exitcode == -9


def test_a_load_ends_with_who_has_started_it():
    program = (
        "from bench.loads import Load\n"
        "from tests.bench import work\n"
        "if __name__ == '__main__':\n"
        "    with Load(work.hangs) as load:\n"
        "        load.wait_ready()\n"
        "        print(load._process.pid, flush=True)\n"
        "        load.result()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        load = int(started.stdout.readline())
        os.kill(load, 0)
        started.kill()
    until(lambda: not _is_there(load))


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # One that has ended may wait for somebody to ask for its exit code.
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_loads_share_counters():
    board = loads.counters(3)
    loads.run(work.counts, board, 1, 1 << 40)
    assert list(board) == [0, 1 << 40, 0]


def test_a_program_is_a_load_too():
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint('done')"
    said, cores = loads.program([sys.executable, "-c", burn], 20)
    assert said == "done\n"
    assert 0.02 < cores <= 1.1
