from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conduit.core.dedupe import WAITERS_MAX_COUNT, DedupeWindow, Pending, payload_hash
from conduit.core.shares import Kept
from conduit.errors import Overloaded, StateError

TOPIC = 7


def known_window(*keys, **bounds):
    window = DedupeWindow(**bounds)
    for at, key in enumerate(keys):
        window.restore(TOPIC, key, f"result of {key}", float(at))
    return window


def test_the_first_publish_is_the_callers_and_the_second_gets_its_result():
    window = DedupeWindow()

    assert window.begin(TOPIC, "k", now=0.0) is None
    assert window.complete(TOPIC, "k", "result") == []
    known = window.begin(TOPIC, "k", now=599.0)
    assert isinstance(known, Kept)
    assert known.value == "result"


def test_publishes_during_the_commit_wait_and_come_back_in_order():
    window = DedupeWindow()
    window.begin(TOPIC, "k", now=0.0)
    for waiter in ("second", "third"):
        pending = window.begin(TOPIC, "k", now=0.0)
        assert isinstance(pending, Pending)
        pending.wait(waiter)

    assert window.complete(TOPIC, "k", "result") == ["second", "third"]


def test_after_a_failure_the_next_publish_is_a_first_one_again():
    window = DedupeWindow()
    window.begin(TOPIC, "k", now=0.0)
    window.begin(TOPIC, "k", now=0.0).wait("second")

    assert window.fail(TOPIC, "k") == ["second"]
    assert window.begin(TOPIC, "k", now=0.0) is None


def test_the_same_key_in_another_topic_is_another_key():
    window = known_window("k")

    assert window.begin(TOPIC + 1, "k", now=1.0) is None


def test_a_result_is_known_for_the_window_and_no_longer():
    window = known_window("k", window_s=600)

    window.expire(now=599.9)
    assert isinstance(window.begin(TOPIC, "k", now=599.9), Kept)
    window.expire(now=600.0)
    assert len(window) == 0
    assert window.begin(TOPIC, "k", now=600.0) is None


def test_a_slow_commit_is_not_forgotten_while_it_is_pending():
    window = DedupeWindow(window_s=10)
    window.begin(TOPIC, "k", now=0.0)
    window.expire(now=1000.0)

    assert isinstance(window.begin(TOPIC, "k", now=1000.0), Pending)


def test_a_commit_that_ends_out_of_turn_pushes_no_result_out_early():
    window = DedupeWindow(window_s=10)
    window.begin(TOPIC, "slow", now=0.0)
    window.begin(TOPIC, "fast", now=5.0)
    window.complete(TOPIC, "fast", "result")
    window.complete(TOPIC, "slow", "result")

    window.expire(now=14.9)
    assert isinstance(window.begin(TOPIC, "fast", now=14.9), Kept)
    window.expire(now=15.0)
    assert len(window) == 0


def test_at_the_bound_the_oldest_result_is_forgotten_and_counted():
    window = known_window("a", "b", "c", max_count=3)
    assert window.forgotten_early_count == 0
    window.begin(TOPIC, "d", now=4.0)
    window.complete(TOPIC, "d", "result")

    assert len(window) == 3
    assert window.forgotten_early_count == 1
    assert isinstance(window.begin(TOPIC, "b", now=4.0), Kept)
    assert window.begin(TOPIC, "a", now=4.0) is None


def test_a_topic_with_many_keys_pushes_out_its_own_and_not_those_of_others():
    window = DedupeWindow(max_count=10)
    for key in "ab":
        window.restore(TOPIC + 1, key, "result", 0.0)
    for number in range(1_000):
        window.restore(TOPIC, f"k{number}", "result", 1.0 + number / 1_000)

    assert len(window) == 10
    for key in "ab":
        assert isinstance(window.find(TOPIC + 1, key), Kept)
    assert [window.find(TOPIC, f"k{number}") is None for number in range(1_000)] == [
        *[True] * 992,
        *[False] * 8,
    ]


def test_a_pending_key_says_of_which_payload_it_is():
    window = DedupeWindow()
    window.begin(TOPIC, "k", 0.0, payload_hash(b"1"))

    assert window.find(TOPIC, "k").payload_hash == payload_hash(b"1")


def test_a_payloads_hash_is_the_same_in_every_process():
    assert payload_hash(b"{}") == (137_279_666_008_780_115).to_bytes(8, "big")
    assert len({payload_hash(b"%d" % number) for number in range(1_000)}) == 1_000


def test_a_result_whose_time_is_over_is_not_forgotten_early():
    window = known_window("a", "b", window_s=10, max_count=2)
    window.begin(TOPIC, "c", now=10.0)
    window.complete(TOPIC, "c", "result")
    assert (len(window), window.forgotten_early_count) == (2, 0)

    window.begin(TOPIC, "d", now=10.9)
    window.complete(TOPIC, "d", "result")
    assert (len(window), window.forgotten_early_count) == (2, 1)


def test_one_key_takes_a_bounded_number_of_waiters():
    window = DedupeWindow()
    window.begin(TOPIC, "k", now=0.0)
    pending = window.begin(TOPIC, "k", now=0.0)
    for number in range(WAITERS_MAX_COUNT):
        pending.wait(number)

    with pytest.raises(Overloaded):
        pending.wait("one too many")
    assert len(window.complete(TOPIC, "k", "result")) == WAITERS_MAX_COUNT


def test_dropping_a_topic_forgets_its_results_and_no_others():
    window = known_window("a", "b")
    window.restore(TOPIC + 1, "a", "other", 2.0)
    window.drop_topic(TOPIC)
    window.drop_topic(TOPIC + 2)

    assert len(window) == 1
    assert window.begin(TOPIC, "a", now=3.0) is None
    assert window.begin(TOPIC + 1, "a", now=3.0).value == "other"


def test_a_publish_to_a_topic_that_is_dropped_still_gets_its_outcome():
    window = known_window("a")
    window.begin(TOPIC, "b", now=1.0)
    window.begin(TOPIC, "b", now=1.0).wait("second")
    window.drop_topic(TOPIC)

    assert window.fail(TOPIC, "b") == ["second"]


def test_topics_that_come_and_go_leave_nothing_behind():
    window = known_window("stays", max_count=10)
    for topic_id in range(100, 1000):
        for key in "abc":
            window.restore(topic_id, key, "result", 0.0)
        window.drop_topic(topic_id)

    assert len(window) == 1
    assert window.forgotten_early_count == 0


@pytest.fixture
def window_with_a_dropped_topic():
    """Three results were known, one went with its topic, and its key is known anew."""
    window = DedupeWindow(window_s=10, max_count=3)
    window.restore(TOPIC, "k", "old result", 0.0)
    window.restore(TOPIC + 1, "a", "result", 1.0)
    window.restore(TOPIC + 1, "b", "result", 2.0)
    window.drop_topic(TOPIC)
    window.restore(TOPIC, "k", "new result", 3.0)
    return window


def test_what_a_dropped_topic_had_ends_no_other_result(window_with_a_dropped_topic):
    window = window_with_a_dropped_topic
    window.expire(now=10.0)

    assert len(window) == 3
    assert window.begin(TOPIC, "k", now=10.0).value == "new result"


def test_what_a_dropped_topic_had_is_no_result_forgotten_early(window_with_a_dropped_topic):
    window = window_with_a_dropped_topic
    assert (len(window), window.forgotten_early_count) == (3, 0)
    window.restore(TOPIC + 1, "c", "result", 4.0)

    assert (len(window), window.forgotten_early_count) == (3, 1)
    assert window.begin(TOPIC + 1, "a", now=4.0) is None
    assert window.begin(TOPIC, "k", now=4.0).value == "new result"


def test_keys_that_failed_or_expired_leave_nothing_behind():
    window = known_window("known", window_s=10)
    window.begin(TOPIC + 1, "failed", now=0.0)
    window.fail(TOPIC + 1, "failed")
    window.expire(now=10.0)

    assert (len(window), window._pending) == (0, {})


@pytest.mark.parametrize("end", ["complete", "fail"])
def test_ending_what_is_not_pending_is_a_bug_that_shows(end):
    window = known_window("known")
    arguments = ["result"] if end == "complete" else []

    for key in ("known", "absent"):
        with pytest.raises(StateError):
            getattr(window, end)(TOPIC, key, *arguments)


@dataclass
class Entry:
    topic_id: int
    key: str
    begun_at: float
    result: str | None = None
    waiters: list = field(default_factory=list)


class NaiveWindow:
    """All keys in one list, the oldest first, searched from end to end. Of several topics that have the most
    keys `is_known` says which has lost its oldest."""

    def __init__(self, window_s, max_count):
        self.window_s, self.max_count = window_s, max_count
        self.entries = []
        self.forgotten_early = 0

    def find(self, topic_id, key):
        for entry in self.entries:
            if (entry.topic_id, entry.key) == (topic_id, key):
                return entry
        return None

    def known(self):
        return [entry for entry in self.entries if entry.result is not None]

    def pending(self):
        return [entry for entry in self.entries if entry.result is None]

    def complete(self, entry, result, is_known):
        entry.result = result
        if len(self.known()) > self.max_count:
            counts = Counter(each.topic_id for each in self.known())
            most = [topic_id for topic_id, count in counts.items() if count == max(counts.values())]
            oldest = [next(e for e in self.known() if e.topic_id == topic_id) for topic_id in most]
            (gone,) = [each for each in oldest if not is_known(each)]
            self.entries.remove(gone)
            self.forgotten_early += gone.begun_at > entry.begun_at - self.window_s

    def expire(self, now):
        for entry in self.known():
            if entry.begun_at <= now - self.window_s:
                self.entries.remove(entry)

    def drop_topic(self, topic_id):
        for entry in self.known():
            if entry.topic_id == topic_id:
                self.entries.remove(entry)


class AgainstTheNaiveWindow(RuleBasedStateMachine):
    """Publishes end in the order in which they began, as the committer ends them."""

    def __init__(self):
        super().__init__()
        self.window = DedupeWindow(window_s=10.0, max_count=4)
        self.model = NaiveWindow(window_s=10.0, max_count=4)
        self.now = 0.0
        self.count = 0

    @rule(topic_id=st.integers(1, 3), key=st.sampled_from("abc"))
    def publish(self, topic_id, key):
        self.count += 1
        found = self.window.begin(topic_id, key, self.now)
        entry = self.model.find(topic_id, key)
        if entry is None:
            assert found is None
            self.model.entries.append(Entry(topic_id, key, self.now))
        elif entry.result is None:
            assert isinstance(found, Pending)
            found.wait(self.count)
            entry.waiters.append(self.count)
        else:
            assert isinstance(found, Kept)
            assert found.value == entry.result

    @precondition(lambda self: self.model.pending())
    @rule()
    def commit(self):
        self.count += 1
        entry = self.model.pending()[0]
        waiters = self.window.complete(entry.topic_id, entry.key, f"result {self.count}")
        assert waiters == entry.waiters
        self.model.complete(
            entry, f"result {self.count}", lambda e: self.window.find(e.topic_id, e.key) is not None
        )

    @precondition(lambda self: self.model.pending())
    @rule()
    def fail(self):
        entry = self.model.pending()[0]
        self.model.entries.remove(entry)
        assert self.window.fail(entry.topic_id, entry.key) == entry.waiters

    @rule(passed_s=st.sampled_from([0.0, 1.0, 4.0, 11.0]))
    def wait(self, passed_s):
        self.now += passed_s
        self.window.expire(self.now)
        self.model.expire(self.now)

    @rule(topic_id=st.integers(1, 3))
    def delete_topic(self, topic_id):
        self.window.drop_topic(topic_id)
        self.model.drop_topic(topic_id)

    @invariant()
    def it_holds_as_much_as_the_model(self):
        assert len(self.window) == len(self.model.known())
        assert self.window.forgotten_early_count == self.model.forgotten_early


TestAgainstTheNaiveWindow = AgainstTheNaiveWindow.TestCase
TestAgainstTheNaiveWindow.settings = settings(max_examples=40, stateful_step_count=40)
