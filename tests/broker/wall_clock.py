"""What the tests of a wall clock that is wrong do with a broker."""

from conduit.broker.administer.browse import Window
from conduit.broker.administer.retention import RetentionRules
from conduit.core.message import Retention
from conduit.names import DEFAULT_TENANT
from conduit.protocol.codec import parse_time
from conduit.storage.memory import MemoryStore
from tests.broker.kit import Bench, ManualClock, running_broker

T = DEFAULT_TENANT
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def running(store: MemoryStore, clock: ManualClock):
    return running_broker(store, clock, housekeeping=RetentionRules(interval_s=3600))


async def created(bench: Bench, name: str, max_age_s: int | None = None) -> None:
    await bench.broker.topics.create(T, name, Retention(max_age_s=max_age_s))


async def published_ms(bench: Bench, name: str, **fields: object) -> int:
    return parse_time((await bench.publish(name, **fields)).published_at)


async def kept(bench: Bench, name: str) -> list[int]:
    """The numbers that a round of retention leaves."""
    await bench.broker._housekeeper.round()
    messages, _ = await bench.broker.messages.browse(T, name, Window(), 100)
    return [message.seq for message in messages]


def steps(bench: Bench, ahead_s: float) -> None:
    """The machine's clock is set; the broker notes it within a second."""
    bench.clock.ahead_s = ahead_s
    bench.broker._time.tick()
