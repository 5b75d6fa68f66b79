-- expand
-- Dead letters are bounded by subscription, in number and bytes, and what became of those that are gone is
-- remembered. One whose message the log had lost has no message id, and empty values for the rest of it.

ALTER TABLE conduit.dead_letters ALTER COLUMN message_id DROP NOT NULL;

CREATE INDEX dead_letters_redriven ON conduit.dead_letters (tenant, subscription, dead_id)
  WHERE redriven_at_ms IS NOT NULL;
CREATE INDEX dead_letters_of_ephemeral ON conduit.dead_letters (tenant, topic, dead_id)
  WHERE subscription = '';

-- What shares a bound: the letters of a durable subscription (no topic), or those of all ephemeral
-- subscribers of a topic (no subscription). Bytes are those of payload, key and headers.
CREATE TABLE conduit.dead_tallies (
  tenant         text COLLATE "C" NOT NULL,
  subscription   text COLLATE "C" NOT NULL,
  topic          text COLLATE "C" NOT NULL,
  open_count     bigint NOT NULL,
  redriven_count bigint NOT NULL,
  bytes          bigint NOT NULL,
  PRIMARY KEY (tenant, subscription, topic)
) WITH (fillfactor = 50);

-- Kept by the statement, not by the row: a few additions for thousands of letters. Always in the order of the
-- keys, so that two statements wait for each other and not in a circle.
CREATE FUNCTION conduit.tally_dead_letters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO conduit.dead_tallies AS t
    SELECT tenant, subscription, CASE subscription WHEN '' THEN topic ELSE '' END,
           count(*) - count(redriven_at_ms), count(redriven_at_ms),
           sum(octet_length(payload) + coalesce(octet_length(key), 0) + coalesce(octet_length(headers), 0))
    FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (tenant, subscription, topic) DO UPDATE SET
      open_count = t.open_count + excluded.open_count,
      redriven_count = t.redriven_count + excluded.redriven_count,
      bytes = t.bytes + excluded.bytes;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO conduit.dead_tallies AS t
    SELECT tenant, subscription, CASE subscription WHEN '' THEN topic ELSE '' END,
           count(redriven_at_ms) - count(*), -count(redriven_at_ms),
           -sum(octet_length(payload) + coalesce(octet_length(key), 0) + coalesce(octet_length(headers), 0))
    FROM removed GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (tenant, subscription, topic) DO UPDATE SET
      open_count = t.open_count + excluded.open_count,
      redriven_count = t.redriven_count + excluded.redriven_count,
      bytes = t.bytes + excluded.bytes;
  ELSE
    INSERT INTO conduit.dead_tallies AS t
    SELECT tenant, subscription, CASE subscription WHEN '' THEN topic ELSE '' END, -sum(change), sum(change), 0
    FROM (
      SELECT a.tenant, a.subscription, a.topic,
             (a.redriven_at_ms IS NOT NULL)::int - (r.redriven_at_ms IS NOT NULL)::int AS change
      FROM added AS a JOIN removed AS r USING (dead_id)) AS changed
    WHERE change <> 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (tenant, subscription, topic) DO UPDATE SET
      open_count = t.open_count + excluded.open_count,
      redriven_count = t.redriven_count + excluded.redriven_count;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER tally_added AFTER INSERT ON conduit.dead_letters
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION conduit.tally_dead_letters();
CREATE TRIGGER tally_removed AFTER DELETE ON conduit.dead_letters
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION conduit.tally_dead_letters();
CREATE TRIGGER tally_changed AFTER UPDATE ON conduit.dead_letters
  REFERENCING OLD TABLE AS removed NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION conduit.tally_dead_letters();

-- The triggers hold off whoever writes letters until this is committed.
INSERT INTO conduit.dead_tallies
SELECT tenant, subscription, CASE subscription WHEN '' THEN topic ELSE '' END,
       count(*) - count(redriven_at_ms), count(redriven_at_ms),
       sum(octet_length(payload) + coalesce(octet_length(key), 0) + coalesce(octet_length(headers), 0))
FROM conduit.dead_letters GROUP BY 1, 2, 3;

-- What became of letters that are gone, of deliveries of durable subscriptions …
CREATE TABLE conduit.gone_letters (
  topic_id     bigint NOT NULL REFERENCES conduit.topics ON DELETE CASCADE,
  seq          bigint NOT NULL,
  subscription text COLLATE "C" NOT NULL,
  fate         text NOT NULL, -- dropped or discarded
  PRIMARY KEY (topic_id, seq, subscription)
);

-- … and at and below which number that is not known any more.
CREATE TABLE conduit.forgotten_letters (
  topic_id bigint PRIMARY KEY REFERENCES conduit.topics ON DELETE CASCADE,
  seq      bigint NOT NULL
);
