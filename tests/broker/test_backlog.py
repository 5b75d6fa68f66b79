import asyncio

from conduit.broker.commits import Commits
from conduit.broker.deliver import backlog as deliver
from conduit.broker.deliver.backlog import BUSY, GENTLE, GIVE_WAY_S, QUIET, QUIET_AFTER_S, Backlog
from tests.broker.kit import ManualClock, made_commits


def new_backlog() -> tuple[Backlog, Commits]:
    commits = made_commits(ManualClock())
    return Backlog(commits), commits


class Reading:
    """Makes `left` steps, and notes each in `log`."""

    def __init__(
        self, name: str, left: int, backlog: Backlog, log: list[str], whose: str = "tenant"
    ) -> None:
        self.name = name
        self.whose = whose
        self.left = left
        self.backlog = backlog
        self.log = log

    def step(self, max_count: int) -> None:
        self.log.append(self.name)
        self.max_count = max_count
        self.left -= 1
        if self.left:
            self.backlog.add(self)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_step_is_made_in_a_turn_of_the_loop_and_all_take_turns():
    (backlog, _), log = new_backlog(), []
    for reading in (Reading("a", 3, backlog, log), Reading("b", 2, backlog, log)):
        backlog.add(reading)
        backlog.add(reading)
    for made in range(6):
        assert log == list("ababa")[:made]
        await turns(1)


async def test_tenants_take_turns_however_many_of_one_are_behind():
    (backlog, _), log = new_backlog(), []
    for number in range(5):
        backlog.add(Reading(f"a{number}", 2, backlog, log, "a"))
    backlog.add(Reading("b", 3, backlog, log, "b"))
    await turns(7)
    assert log[:6] == ["a0", "b", "a1", "b", "a2", "b"]


async def test_a_step_that_fails_costs_the_others_nothing(caplog):
    class Broken:
        whose = "tenant"

        def step(self, max_count: int) -> None:
            raise KeyError

    (backlog, _), log = new_backlog(), []
    backlog.add(Broken())
    backlog.add(Reading("a", 1, backlog, log))
    await turns(3)
    assert log == ["a"]
    assert "KeyError" in caplog.text


async def test_all_wait_for_a_commit_and_go_on_at_its_end(monkeypatch):
    # However slow the machine is.
    monkeypatch.setattr(deliver, "GIVE_WAY_S", 60.0)
    (backlog, commits), log = new_backlog(), []
    commits.queued("a committer")
    backlog.add(Reading("a", 2, backlog, log))
    await turns(5)
    assert log == []
    commits.idle("a committer")
    backlog.committed()
    backlog.committed()
    await turns(3)
    assert log == ["a", "a"]


async def test_commits_without_a_pause_do_not_hold_them_up_for_good():
    (backlog, commits), log = new_backlog(), []
    commits.queued("a committer")
    loop = asyncio.get_running_loop()
    began = loop.time()
    backlog.add(Reading("a", 3, backlog, log))
    async with asyncio.timeout(10):
        while len(log) < 3:
            await turns(1)
    assert loop.time() - began >= 2.5 * GIVE_WAY_S


async def test_steps_and_pages_are_smaller_while_there_are_commits():
    (backlog, commits), log = new_backlog(), []
    reading = Reading("a", 2, backlog, log)
    assert backlog.pace_of(reading) == QUIET
    backlog.committed()
    assert backlog.pace_of(reading) == BUSY
    await asyncio.sleep(1.5 * QUIET_AFTER_S)
    assert backlog.pace_of(reading) == QUIET
    commits.queued("a committer")
    backlog.add(reading)
    await turns(2)
    assert backlog.pace_of(reading) == BUSY


async def test_steps_and_pages_are_smallest_beside_somebody_at_the_end_of_the_log():
    (backlog, _), log = new_backlog(), []
    behind, other = Reading("a", 2, backlog, log), Reading("b", 1, backlog, log)
    backlog.committed()
    # Who was at the end itself a moment ago has nobody to be gentle with.
    backlog.live(behind)
    backlog.live(behind)
    assert (backlog.pace_of(behind), backlog.pace_of(other)) == (BUSY, GENTLE)
    backlog.live(other)
    assert (backlog.pace_of(behind), backlog.pace_of(other)) == (GENTLE, GENTLE)
    backlog.add(behind)
    await turns(2)
    assert behind.max_count == GENTLE.step_count
    await asyncio.sleep(1.5 * QUIET_AFTER_S)
    assert backlog.pace_of(behind) == QUIET
    backlog.live(object())
    assert backlog.pace_of(behind) == GENTLE
