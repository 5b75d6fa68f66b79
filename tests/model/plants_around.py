"""Faults that the broker had around deliveries: clocks, topics, dead letters, and what is counted."""

from __future__ import annotations

from tests.model.plant import Change, Plant

PLANTS_AROUND = (
    # The wall clock is set back, and a stored retry waits for as much longer.
    Plant(
        "16-retry-by-wall-clock",
        "is owed again",
        (
            Change(
                "core/pages.py",
                "passed_ms = max(0, at.wall_ms - page.at_ms)",
                "passed_ms = at.wall_ms - page.at_ms",
            ),
        ),
    ),
    # A message gets what the wall clock says, whatever the one before it has.
    Plant(
        "17-stamps-run-back",
        "a stamp of .* runs back",
        (
            Change(
                "broker/stamps.py",
                "        if now_ms < store_time.highest_ms or now_ms < store_time.noted_ms:\n",
                "        if now_ms < 0:\n",
            ),
        ),
    ),
    # Ages are differences of the wall clock.
    Plant(
        "18-age-by-wall-clock",
        "was removed, and is|under one idempotency key|letters of|nobody can explain|was not told|key",
        (
            Change(
                "broker/store_time.py",
                "        return self._timeline.before_ms(int(age_s * 1000))\n",
                "        return self._clock.wall_ms() - int(age_s * 1000)\n",
            ),
        ),
    ),
    # A step back of the clock counts from when it was noticed.
    Plant(
        "19-step-noticed-late",
        "letters of",
        (
            Change(
                "core/timeline.py",
                "            if jump_ms < 0:\n",
                "            if jump_ms < 0 and reading is None:\n",
            ),
        ),
    ),
    # A dead letter that is gone was acked, as far as is told.
    Plant(
        "20-letter-gone-is-acked",
        "is shown as",
        (
            Change(
                "broker/administer/views.py",
                "    return DeliveryState(state.subscription, _FATES[fate.name], 0, None, None, *times)",
                '    return DeliveryState(state.subscription, "acked", 0, None, None, *times)',
            ),
        ),
    ),
    # Who comes again to what was deleted makes it anew.
    Plant(
        "21-deletion-comes-back",
        "nobody asked for it",
        (
            Change(
                "broker/attach/establishing.py",
                "        elif frame.create:\n            check_new_subscription(name)",
                "        elif name:\n            check_new_subscription(name)",
            ),
            Change(
                "broker/deliver/loading.py",
                "        if create:\n            await self._catalog.ensure(record",
                "        if record:\n            await self._catalog.ensure(record",
            ),
        ),
    ),
    # A deletion that the store refuses has hidden the topic.
    Plant(
        "22-half-deleted",
        "refused|is gone, and the store has it|is unknown|is shown as",
        (
            Change(
                "broker/catalog.py",
                "                self._show(topic)\n",
                "",
            ),
        ),
    ),
    # What a subscription lacks is counted while a seek moves it.
    Plant(
        "23-count-races-seek",
        "lacks",
        (
            Change(
                "broker/administer/counting.py",
                "if is_there and lag.changes == changes and self._owned",
                "if is_there and self._owned",
            ),
        ),
    ),
    # A topic that another node made is counted whole, although its first messages are gone.
    Plant(
        "24-other-topic-counted-whole",
        "lacks",
        (
            Change(
                "broker/deliver/account.py",
                "            if topic.last_seq > floor:\n                self._lag.put(",
                "            if topic.last_seq < floor:\n                self._lag.put(",
            ),
        ),
    ),
    # Who asks the store for all topics, to see whether one is deleted, takes no notice of the others.
    Plant(
        "25-listing-not-learned",
        "is shown as|is silent",
        (
            Change(
                "broker/catalog.py",
                "            await self.learn()\n            return topic.topic_id not in self._ids\n",
                "            records = await self._store.topics()\n"
                "            return all(record.topic_id != topic.topic_id for record in records)\n",
            ),
        ),
    ),
    # Of too many dead letters one more is dropped than has to be.
    Plant(
        "26-one-letter-too-many",
        "are dropped of",
        (
            Change(
                "storage/dead.py",
                "if count <= max_count and",
                "if count < max_count and",
            ),
        ),
    ),
)
