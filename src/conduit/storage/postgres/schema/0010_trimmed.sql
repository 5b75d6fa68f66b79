-- expand
-- When the last message was published that retention has removed: a stream that asks for all since a time is
-- told if some of that is gone. Of what was removed before, it was not later than now.
ALTER TABLE conduit.topics ADD COLUMN trimmed_ms bigint NOT NULL DEFAULT 0; -- 0: nothing was removed
UPDATE conduit.topics SET trimmed_ms = (extract(epoch FROM now()) * 1000)::bigint WHERE first_seq > 1;
