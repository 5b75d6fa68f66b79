import asyncio

from conduit.broker.deliver.backlog import BUSY, GENTLE, GIVE_WAY_S, QUIET, QUIET_AFTER_S, CatchUp


class Reading:
    """Makes `left` steps, and notes each in `log`."""

    def __init__(self, name: str, left: int, catch_up: CatchUp, log: list[str]) -> None:
        self.name = name
        self.left = left
        self.catch_up = catch_up
        self.log = log

    def step(self, max_count: int) -> None:
        self.log.append(self.name)
        self.max_count = max_count
        self.left -= 1
        if self.left:
            self.catch_up.add(self)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_step_is_made_in_a_turn_of_the_loop_and_all_take_turns():
    catch_up, log = CatchUp(), []
    for reading in (Reading("a", 3, catch_up, log), Reading("b", 2, catch_up, log)):
        catch_up.add(reading)
        catch_up.add(reading)
    for made in range(6):
        assert log == list("ababa")[:made]
        await turns(1)


async def test_a_step_that_fails_costs_the_others_nothing(caplog):
    class Broken:
        def step(self, max_count: int) -> None:
            raise KeyError

    catch_up, log = CatchUp(), []
    catch_up.add(Broken())
    catch_up.add(Reading("a", 1, catch_up, log))
    await turns(3)
    assert log == ["a"]
    assert "KeyError" in caplog.text


async def test_all_wait_for_a_commit_and_go_on_at_its_end():
    catch_up, log, committing = CatchUp(), [], True
    catch_up.is_committing = lambda: committing
    catch_up.add(Reading("a", 2, catch_up, log))
    await turns(5)
    assert log == []
    committing = False
    catch_up.committed()
    catch_up.committed()
    await turns(3)
    assert log == ["a", "a"]


async def test_commits_without_a_pause_do_not_hold_them_up_for_good():
    catch_up, log = CatchUp(), []
    catch_up.is_committing = lambda: True
    loop = asyncio.get_running_loop()
    began = loop.time()
    catch_up.add(Reading("a", 3, catch_up, log))
    async with asyncio.timeout(10):
        while len(log) < 3:
            await turns(1)
    assert loop.time() - began >= 2.5 * GIVE_WAY_S


async def test_steps_and_pages_are_smaller_while_there_are_commits():
    catch_up, log, committing = CatchUp(), [], False
    catch_up.is_committing = lambda: committing
    reading = Reading("a", 2, catch_up, log)
    assert catch_up.pace_of(reading) == QUIET
    catch_up.committed()
    assert catch_up.pace_of(reading) == BUSY
    await asyncio.sleep(1.5 * QUIET_AFTER_S)
    assert catch_up.pace_of(reading) == QUIET
    committing = True
    catch_up.add(reading)
    await turns(2)
    assert catch_up.pace_of(reading) == BUSY


async def test_steps_and_pages_are_smallest_beside_somebody_at_the_end_of_the_log():
    catch_up, log = CatchUp(), []
    behind, other = Reading("a", 2, catch_up, log), Reading("b", 1, catch_up, log)
    catch_up.committed()
    # Who was at the end itself a moment ago has nobody to be gentle with.
    catch_up.live(behind)
    catch_up.live(behind)
    assert (catch_up.pace_of(behind), catch_up.pace_of(other)) == (BUSY, GENTLE)
    catch_up.live(other)
    assert (catch_up.pace_of(behind), catch_up.pace_of(other)) == (GENTLE, GENTLE)
    catch_up.add(behind)
    await turns(2)
    assert behind.max_count == GENTLE.step_count
    await asyncio.sleep(1.5 * QUIET_AFTER_S)
    assert catch_up.pace_of(behind) == QUIET
    catch_up.live(object())
    assert catch_up.pace_of(behind) == GENTLE
