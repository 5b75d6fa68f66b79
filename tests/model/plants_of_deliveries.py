"""Faults of deliveries that the broker had."""

from __future__ import annotations

from tests.model.plant import Change, Plant

_CURSOR, _FEED = "broker/deliver/cursor.py", "broker/deliver/feed.py"

PLANTS_OF_DELIVERIES = (
    # What frees credit wakes only the cursor of its own topic.
    Plant(
        "1-others-not-woken",
        "is silent",
        (
            Change(
                _CURSOR,
                "        if delivery.retries.by_seq or group.is_strict:\n"
                "            self._engine.turn.add(self)\n"
                "        if group.waiting:\n"
                "            group.freed()\n",
                "        self._engine.turn.add(self)\n",
            ),
            Change(
                _CURSOR,
                "            self._mark()\n            self.group.freed()\n",
                "            self._mark()\n",
            ),
            Change(
                "broker/deliver/group.py",
                "            guarded(who.serve)\n        self.freed()\n",
                "            guarded(who.serve)\n",
            ),
        ),
    ),
    # A cursor that closes keeps its share of the window.
    Plant(
        "2-window-kept",
        "is silent",
        (
            Change(
                _CURSOR,
                "        self.delivery.forget()\n        self.group.freed()\n",
                "",
            ),
        ),
    ),
    # A feed that finds a hole jumps at the end of the turn: until then others join it where it was.
    Plant(
        "3-jump-postponed",
        "did not, without a gap|a follower failed",
        (
            Change(_FEED, '        "_tail",\n', '        "_jump",\n        "_tail",\n'),
            Change(
                _FEED,
                "        self._tail_bytes = 0\n        # What the node",
                "        self._tail_bytes = 0\n        self._jump = None\n        # What the node",
            ),
            Change(
                _FEED,
                "        before, self.position = self.position, last_seq\n"
                "        self._tail.clear()\n"
                "        self._tail_bytes = self._counted_bytes = 0\n"
                "        self._tools.budget.forget_tail(self)\n"
                "        behind = [(who, live.position) for live in self._sets for who in live.followers]\n"
                "        for follower, position in [*behind, *((who, before) for who in self.waiting)]:\n",
                "        followers = (*self.live, *self.waiting)\n"
                "        self._jump = (last_seq, self._jump[1] if self._jump else followers)\n"
                "        self._tail.clear()\n"
                "        self._tail_bytes = self._counted_bytes = 0\n"
                "        self._tools.turn.add(self)\n\n"
                "    def _jump_now(self, last_seq, followers):\n"
                "        before, self.position, self._jump = self.position, last_seq, None\n"
                "        for follower, position in ((who, before) for who in followers):\n",
            ),
            Change(
                _FEED,
                "        tail = self._tail\n        if tail and",
                "        if self._jump is not None:\n"
                "            self._jump_now(*self._jump)\n"
                "        tail = self._tail\n        if tail and",
            ),
            Change(
                _FEED,
                "        known_count = (tail[-1].seq if tail else self.position) + 1 - first_seq\n",
                "        position = self.position if self._jump is None else self._jump[0]\n"
                "        known_count = (tail[-1].seq if tail else position) + 1 - first_seq\n",
            ),
        ),
    ),
    # An attempt begins when its message is asked for, and not when it is written.
    Plant(
        "4-attempt-before-read",
        "is owed again|came as attempt|becomes a dead letter",
        (
            Change(
                "broker/deliver/handing.py",
                "        entry = self._source.again(seq, now)\n",
                "        retry = self._delivery.hand_again(seq, subscriber.holder, now)\n"
                "        entry = self._source.again(seq, now)\n",
            ),
            Change(
                "broker/deliver/handing.py",
                "            return entry\n"
                "        retry = self._delivery.hand_again(seq, subscriber.holder, now)\n",
                "            return entry\n",
            ),
        ),
    ),
    # A late nack fails an attempt of another subscriber, or one that was not made yet.
    Plant(
        "4-late-nack",
        "becomes a dead letter|was told|too early|failures are told|nacked_count|more than its window",
        (
            Change(
                "broker/deliver/verbs.py",
                "        return self._is_meant(delivery, seq, holder) and delivery.nack(\n"
                "            seq, self.now, self.delay_s, self.reason, self.jitter\n"
                "        )\n",
                "        return delivery.nack(seq, self.now, self.delay_s, self.reason, self.jitter)\n",
            ),
        ),
    ),
    # What is open in a topic without a backlog is not looked at when the subscription is loaded.
    Plant(
        "5-redriven-not-loaded",
        "is owed again",
        (
            Change(
                "broker/deliver/running.py",
                "        if topic.last_seq > floor or (progress is not None and progress.open):\n",
                "        if topic.last_seq > floor:\n",
            ),
        ),
    ),
    # A letter goes to whatever subscription has the name now, whether it covers the topic or not.
    Plant(
        "6-redriven-to-others",
        "which it does not cover",
        (
            Change(
                "broker/administer/redriving.py",
                "            elif not matches(record.pattern, topic.name):\n",
                "            elif False:\n",
            ),
        ),
    ),
    # Strict order does not look at what is out when something comes again.
    Plant(
        "7-not-strict",
        "not strict",
        (
            Change(
                _CURSOR,
                "            elif group.is_strict:\n",
                "            elif group.is_strict and not self.delivery.retries.by_seq:\n",
            ),
        ),
    ),
    # A topic that is deleted while its subscription is loaded is not made again.
    Plant(
        "8-load-races-deletion",
        "is silent|was not told|held for nobody",
        (
            Change(
                "broker/deliver/loading.py",
                "            await self.make_topic(record, create=create)\n            # Else it would stay",
                "            # Else it would stay",
            ),
            Change(
                "broker/deliver/router.py",
                "        assert topic is not None\n        route = self._named",
                "        if topic is None:\n            return\n        route = self._named",
            ),
        ),
    ),
    # Whoever follows a topic is not told that it was made anew while it was attached.
    Plant(
        "9-made-anew-untold",
        "was not told",
        (
            Change(
                "broker/deliver/router.py",
                "            running.former.topic_created(topic)\n",
                "            pass\n",
            ),
        ),
    ),
    # A gap is told to whoever is attached, and counts as heard whether they read it or not.
    Plant(
        "9b-gap-told-once",
        "was not told|nothing proves it|stored as floor and cursor",
        (
            Change(
                "broker/deliver/gaps.py",
                "        if group.name is None:\n            self._heard(place, owed)\n",
                "        if group.subscribers:\n            self._heard(place, owed)\n",
            ),
        ),
    ),
    # What a lost connection had comes again at once, as often as it is lost.
    Plant(
        "10-lost-at-once",
        "too early",
        (
            Change(
                "core/delivery.py",
                "now + (lost_wait_s(retry.losses) if lost else 0.0)",
                "now",
            ),
        ),
    ),
    # A cumulative ack takes what others have.
    Plant(
        "11-ack-takes-others",
        "stored as floor and cursor|was told|acked_count",
        (
            Change(
                "core/retries.py",
                "        numbers, taken = self._held.get(holder), []\n        while numbers and",
                "        numbers, taken = sorted(self.by_seq), []\n        while numbers and",
            ),
            Change(
                "core/retries.py",
                "            if retry is not None and _is_of(retry, holder):\n",
                "            if retry is not None:\n",
            ),
            Change(
                "core/retries.py",
                "                numbers = self._held.get(holder)\n        return taken",
                "                numbers = sorted(self.by_seq)\n        return taken",
            ),
            Change(
                "core/open_deliveries.py",
                "                self.in_flight[holder] -= 1\n        return settled",
                "                self.in_flight[retry.holder] -= 1\n        return settled",
            ),
        ),
    ),
    # What is marked while the store has the last flush is not stored at a stop.
    Plant(
        "12-stop-forgets",
        "was not stored at a stop",
        (
            Change(
                "broker/deliver/progress.py",
                "tries_left and (self._has_work or not self._is_stopping)",
                "not self._is_stopping",
            ),
        ),
    ),
    # A seek does not wait for the flush that is under way, which is stored over it.
    Plant(
        "13-seek-undone",
        "was moved, which was answered|is settled, and that is not stored|was not answered",
        (
            Change(
                "broker/administer/altering.py",
                "        async with self._claimed(record) as claimed, progress.storing:\n",
                "        async with self._claimed(record) as claimed:\n",
            ),
        ),
    ),
    # A redriven letter that has died again is marked as redriven.
    Plant(
        "14-mark-outlives-death",
        "is marked as redriven",
        (
            Change(
                "broker/deliver/progress.py",
                "        for marks in (self._marked, self._flushing):\n"
                "            marks.forget_redriven(who, deaths)\n",
                "",
            ),
        ),
    ),
    # A subscription whose last subscriber leaves while another one is changed is not unloaded.
    Plant(
        "15-never-unloaded",
        "runs here, and has no subscriber",
        (
            Change(
                "broker/deliver/owned.py",
                "            elif not self.holds.has(place) and self._engine.progress.is_stored(",
                "            elif not self.turns._locks and self._engine.progress.is_stored(",
            ),
        ),
    ),
    # The tail keeps what retention, or a purge, has removed, and who comes is given it.
    Plant(
        "31-gone-from-the-tail",
        "was given .* and the log begins with",
        (
            Change(
                "broker/deliver/sequencer.py",
                "            feed.trim(first_seq)\n",
                "            pass\n",
            ),
        ),
    ),
    # A page that was read before is handed out though the log has lost what is on it.
    Plant(
        "32-gone-from-the-page",
        "was given .* and the log begins with",
        (
            Change(
                "broker/deliver/page.py",
                "        return seq >= self._topic.first_seq or not self._is_of_log\n",
                "        return True\n",
            ),
        ),
    ),
)
