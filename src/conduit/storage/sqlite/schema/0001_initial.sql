-- Topics, the log, durable subscriptions, dead letters.
--
-- A batch must be one statement (sqlite/bulk.py says why), so what one row of a batch causes in other
-- tables is written here, as triggers on the views incoming_messages and incoming_deaths.

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Topics ----------------------------------------------------------------------------------------

-- AUTOINCREMENT: a number of a deleted topic is never given to another.
CREATE TABLE topics (
  topic_id      INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant        TEXT NOT NULL,
  name          TEXT NOT NULL,
  epoch         TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  first_seq     INTEGER NOT NULL DEFAULT 1,
  last_seq      INTEGER NOT NULL DEFAULT 0,
  stored_bytes  INTEGER NOT NULL DEFAULT 0,
  max_age_s     INTEGER,
  max_messages  INTEGER,
  max_bytes     INTEGER,
  UNIQUE (tenant, name)
) STRICT;

-- Deleted topics whose messages are still to be removed.
CREATE TABLE gone_topics (
  topic_id INTEGER PRIMARY KEY
) STRICT;

-- The log ---------------------------------------------------------------------------------------

-- Rows lie in the order of commits, with a narrow index by topic: clustered by topic, a batch to a
-- thousand topics writes a page for each, and rows of 2 kB take 2 to 5 times as long.
CREATE TABLE messages (
  topic_id        INTEGER NOT NULL,
  seq             INTEGER NOT NULL,
  message_id      BLOB NOT NULL CHECK (octet_length(message_id) = 16),
  published_at_ms INTEGER NOT NULL,
  bytes           INTEGER NOT NULL, -- of payload, key and headers
  key             TEXT,
  headers         BLOB,
  payload         BLOB NOT NULL,
  PRIMARY KEY (topic_id, seq)
) STRICT;

CREATE INDEX messages_by_id ON messages (message_id);

CREATE TABLE idempotency_keys (
  topic_id        INTEGER NOT NULL,
  key             TEXT NOT NULL,
  message_id      BLOB NOT NULL,
  seq             INTEGER NOT NULL,
  published_at_ms INTEGER NOT NULL,
  PRIMARY KEY (topic_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_time ON idempotency_keys (published_at_ms);

CREATE VIEW incoming_messages AS
SELECT topic_id, seq, message_id, published_at_ms, bytes, key, headers, payload,
       NULL AS idempotency_key
FROM messages;

CREATE TRIGGER append_message INSTEAD OF INSERT ON incoming_messages BEGIN
  INSERT INTO messages VALUES (
    NEW.topic_id, NEW.seq, NEW.message_id, NEW.published_at_ms, NEW.bytes, NEW.key, NEW.headers,
    NEW.payload);
  UPDATE topics SET last_seq = NEW.seq, stored_bytes = stored_bytes + NEW.bytes
  WHERE topic_id = NEW.topic_id;
  INSERT INTO idempotency_keys
  SELECT NEW.topic_id, NEW.idempotency_key, NEW.message_id, NEW.seq, NEW.published_at_ms
  WHERE NEW.idempotency_key IS NOT NULL
  ON CONFLICT (topic_id, key) DO UPDATE SET
    message_id = excluded.message_id, seq = excluded.seq,
    published_at_ms = excluded.published_at_ms;
END;

CREATE TRIGGER trim_messages AFTER UPDATE OF first_seq ON topics BEGIN
  DELETE FROM messages WHERE topic_id = NEW.topic_id AND seq < NEW.first_seq;
END;

-- Durable subscriptions -------------------------------------------------------------------------

CREATE TABLE subscriptions (
  subscription_id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant          TEXT NOT NULL,
  name            TEXT NOT NULL,
  pattern         TEXT NOT NULL,
  created_at_ms   INTEGER NOT NULL,
  paused          INTEGER NOT NULL,
  settings        TEXT NOT NULL, -- JSON
  UNIQUE (tenant, name)
) STRICT;

CREATE TABLE progress (
  subscription_id INTEGER NOT NULL,
  topic_id        INTEGER NOT NULL,
  floor           INTEGER NOT NULL,
  cursor          INTEGER NOT NULL,
  open            BLOB NOT NULL,
  PRIMARY KEY (subscription_id, topic_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX progress_by_topic ON progress (topic_id);

CREATE TRIGGER forget_topic AFTER DELETE ON topics BEGIN
  INSERT INTO gone_topics VALUES (OLD.topic_id);
  DELETE FROM progress WHERE topic_id = OLD.topic_id;
END;

CREATE TRIGGER forget_subscription AFTER DELETE ON subscriptions BEGIN
  DELETE FROM progress WHERE subscription_id = OLD.subscription_id;
END;

-- Dead letters ----------------------------------------------------------------------------------

CREATE TABLE dead_letters (
  dead_id         TEXT PRIMARY KEY,
  tenant          TEXT NOT NULL,
  subscription    TEXT NOT NULL,
  topic           TEXT NOT NULL,
  topic_id        INTEGER NOT NULL,
  seq             INTEGER NOT NULL,
  message_id      TEXT NOT NULL,
  attempts        INTEGER NOT NULL,
  reason          TEXT NOT NULL,
  died_at_ms      INTEGER NOT NULL,
  redriven_at_ms  INTEGER,
  published_at_ms INTEGER NOT NULL,
  key             TEXT,
  headers         BLOB,
  payload         BLOB NOT NULL,
  UNIQUE (topic_id, seq, subscription) -- a topic id belongs to one tenant
) STRICT;

CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant, dead_id);
CREATE INDEX dead_letters_by_subscription ON dead_letters (tenant, subscription, dead_id);
CREATE INDEX dead_letters_by_time ON dead_letters (died_at_ms);

-- How many each tenant has, so that the bound on them costs nothing while it is not reached.
CREATE TABLE dead_counts (
  tenant     TEXT PRIMARY KEY,
  dead_count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER count_dead_letter AFTER INSERT ON dead_letters BEGIN
  INSERT INTO dead_counts VALUES (NEW.tenant, 1)
  ON CONFLICT (tenant) DO UPDATE SET dead_count = dead_count + 1;
END;

CREATE TRIGGER discount_dead_letter AFTER DELETE ON dead_letters BEGIN
  UPDATE dead_counts SET dead_count = dead_count - 1 WHERE tenant = OLD.tenant;
  DELETE FROM dead_counts WHERE tenant = OLD.tenant AND dead_count = 0;
END;

CREATE VIEW incoming_deaths AS
SELECT dead_id, tenant, subscription, topic_id, seq, attempts, reason, died_at_ms
FROM dead_letters;

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
  INSERT INTO dead_letters
  SELECT NEW.dead_id, NEW.tenant, NEW.subscription, t.name, m.topic_id, m.seq,
         format('%s-%s-%s-%s-%s',
                substr(m.hex_id, 1, 8), substr(m.hex_id, 9, 4), substr(m.hex_id, 13, 4),
                substr(m.hex_id, 17, 4), substr(m.hex_id, 21)),
         NEW.attempts, NEW.reason, NEW.died_at_ms, NULL, m.published_at_ms,
         m.key, m.headers, m.payload
  FROM (SELECT *, lower(hex(message_id)) AS hex_id FROM messages) AS m
  JOIN topics AS t ON t.topic_id = m.topic_id
  WHERE m.topic_id = NEW.topic_id AND m.seq = NEW.seq
    AND NOT EXISTS (SELECT 1 FROM dead_letters AS d
                    WHERE d.topic_id = NEW.topic_id AND d.seq = NEW.seq
                      AND d.subscription = NEW.subscription);
END;
