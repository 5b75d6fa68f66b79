-- When the last message was published that retention has removed: a stream that asks for all since a time is
-- told if some of that is gone. Of what was removed before, it was not later than this.

ALTER TABLE topics ADD COLUMN trimmed_ms INTEGER NOT NULL DEFAULT 0; -- 0: nothing was removed

UPDATE topics SET trimmed_ms = coalesce(
  (SELECT published_at_ms FROM messages AS m
   WHERE m.topic_id = topics.topic_id AND m.seq = topics.first_seq),
  CAST(strftime('%s', 'now') AS INTEGER) * 1000)
WHERE first_seq > 1;
