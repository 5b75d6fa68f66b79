-- Dead letters are bounded by subscription, in number and bytes, and what became of those that are gone is
-- remembered. One whose message the log had lost has empty values for it.

-- Of payload, key and headers. Computed from the lengths: no payload is read for it, and none is rewritten here.
ALTER TABLE dead_letters ADD COLUMN bytes INTEGER AS (
  octet_length(payload) + coalesce(octet_length(key), 0) + coalesce(octet_length(headers), 0)) VIRTUAL;

CREATE INDEX dead_letters_redriven ON dead_letters (tenant, subscription, dead_id)
  WHERE redriven_at_ms IS NOT NULL;
CREATE INDEX dead_letters_of_ephemeral ON dead_letters (tenant, topic, dead_id) WHERE subscription = '';

-- What shares a bound: the letters of a durable subscription (no topic), or those of all ephemeral
-- subscribers of a topic (no subscription).
CREATE TABLE dead_tallies (
  tenant         TEXT NOT NULL,
  subscription   TEXT NOT NULL,
  topic          TEXT NOT NULL,
  open_count     INTEGER NOT NULL,
  redriven_count INTEGER NOT NULL,
  bytes          INTEGER NOT NULL,
  PRIMARY KEY (tenant, subscription, topic)
) STRICT, WITHOUT ROWID;

INSERT INTO dead_tallies
SELECT tenant, subscription, iif(subscription = '', topic, ''),
       count(*) - count(redriven_at_ms), count(redriven_at_ms), sum(bytes)
FROM dead_letters GROUP BY 1, 2, 3;

DROP TRIGGER count_dead_letter;
DROP TRIGGER discount_dead_letter;
DROP TABLE dead_counts;

CREATE TRIGGER tally_dead_letter AFTER INSERT ON dead_letters BEGIN
  INSERT INTO dead_tallies
  VALUES (NEW.tenant, NEW.subscription, iif(NEW.subscription = '', NEW.topic, ''), 1, 0, NEW.bytes)
  ON CONFLICT (tenant, subscription, topic) DO UPDATE SET
    open_count = open_count + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER tally_redriven AFTER UPDATE OF redriven_at_ms ON dead_letters
WHEN (OLD.redriven_at_ms IS NULL) <> (NEW.redriven_at_ms IS NULL)
BEGIN
  UPDATE dead_tallies
  SET open_count = open_count + iif(NEW.redriven_at_ms IS NULL, 1, -1),
      redriven_count = redriven_count - iif(NEW.redriven_at_ms IS NULL, 1, -1)
  WHERE tenant = NEW.tenant AND subscription = NEW.subscription
    AND topic = iif(NEW.subscription = '', NEW.topic, '');
END;

CREATE TRIGGER untally_dead_letter AFTER DELETE ON dead_letters BEGIN
  UPDATE dead_tallies
  SET open_count = open_count - (OLD.redriven_at_ms IS NULL),
      redriven_count = redriven_count - (OLD.redriven_at_ms IS NOT NULL),
      bytes = bytes - OLD.bytes
  WHERE tenant = OLD.tenant AND subscription = OLD.subscription
    AND topic = iif(OLD.subscription = '', OLD.topic, '');
  DELETE FROM dead_tallies
  WHERE tenant = OLD.tenant AND subscription = OLD.subscription
    AND topic = iif(OLD.subscription = '', OLD.topic, '')
    AND open_count + redriven_count = 0;
END;

-- What became of letters that are gone, of deliveries of durable subscriptions …
CREATE TABLE gone_letters (
  topic_id     INTEGER NOT NULL,
  seq          INTEGER NOT NULL,
  subscription TEXT NOT NULL,
  fate         TEXT NOT NULL, -- dropped or discarded
  PRIMARY KEY (topic_id, seq, subscription)
) STRICT, WITHOUT ROWID;

-- … and at and below which number that is not known any more.
CREATE TABLE forgotten_letters (
  topic_id INTEGER PRIMARY KEY,
  seq      INTEGER NOT NULL
) STRICT;

CREATE TRIGGER forget_gone_letters AFTER DELETE ON topics BEGIN
  DELETE FROM gone_letters WHERE topic_id = OLD.topic_id;
  DELETE FROM forgotten_letters WHERE topic_id = OLD.topic_id;
END;

DROP TRIGGER bury_death;
CREATE TRIGGER bury_death INSTEAD OF INSERT ON incoming_deaths
WHEN EXISTS (SELECT 1 FROM topics WHERE topic_id = NEW.topic_id AND tenant = NEW.tenant)
 AND (NEW.subscription = ''
      OR EXISTS (SELECT 1 FROM subscriptions
                 WHERE tenant = NEW.tenant AND name = NEW.subscription))
BEGIN
  UPDATE dead_letters
  SET attempts = NEW.attempts, reason = NEW.reason, died_at_ms = NEW.died_at_ms,
      redriven_at_ms = NULL
  WHERE topic_id = NEW.topic_id AND seq = NEW.seq AND subscription = NEW.subscription;
  INSERT INTO dead_letters (
    dead_id, tenant, subscription, topic, topic_id, seq, message_id, attempts, reason, died_at_ms,
    redriven_at_ms, published_at_ms, key, headers, payload)
  SELECT NEW.dead_id, NEW.tenant, NEW.subscription, t.name, t.topic_id, NEW.seq,
         iif(m.message_id IS NULL, '', format('%s-%s-%s-%s-%s',
           lower(hex(substr(m.message_id, 1, 4))), lower(hex(substr(m.message_id, 5, 2))),
           lower(hex(substr(m.message_id, 7, 2))), lower(hex(substr(m.message_id, 9, 2))),
           lower(hex(substr(m.message_id, 11))))),
         NEW.attempts, NEW.reason, NEW.died_at_ms, NULL, coalesce(m.published_at_ms, 0),
         m.key, m.headers, coalesce(m.payload, x'')
  FROM topics AS t LEFT JOIN messages AS m ON m.topic_id = t.topic_id AND m.seq = NEW.seq
  WHERE t.topic_id = NEW.topic_id
    AND NOT EXISTS (SELECT 1 FROM dead_letters AS d
                    WHERE d.topic_id = NEW.topic_id AND d.seq = NEW.seq
                      AND d.subscription = NEW.subscription);
  DELETE FROM gone_letters
  WHERE topic_id = NEW.topic_id AND seq = NEW.seq AND subscription = NEW.subscription;
END;
