-- expand
-- Topics, the log, durable subscriptions, dead letters. All names are qualified: no statement needs a
-- search path, which a pooler in transaction mode would not keep. Keys and reasons are UTF-8 as bytes:
-- text cannot hold U+0000, and JSON can. Times that Conduit's clock gave are bigint milliseconds.

-- Who may append ----------------------------------------------------------------------------------

-- One row for each process that appends. A statement of an older connection changes nothing once
-- `token` is higher, and `last_batch` tells what became of a batch whose answer was lost.
CREATE TABLE conduit.writers (
  writer_id   uuid PRIMARY KEY,
  token       bigint NOT NULL,
  last_batch  bigint NOT NULL DEFAULT 0,
  appended_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);

-- Which process does what only one should do at a time.
CREATE TABLE conduit.leases (
  name   text PRIMARY KEY,
  holder uuid NOT NULL,
  until  timestamptz NOT NULL
);

-- Topics ----------------------------------------------------------------------------------------

-- Numbers of deleted topics are never given again. The rest of a number by 64 is its shard.
CREATE SEQUENCE conduit.topic_ids AS bigint INCREMENT BY 64 START WITH 64 MINVALUE 0;

-- The counter row of a topic is locked by everybody who appends to it, in the order of ids. No index
-- covers what an append changes, so that the new version stays on its page.
CREATE TABLE conduit.topics (
  topic_id      bigint PRIMARY KEY DEFAULT nextval('conduit.topic_ids'),
  tenant        text COLLATE "C" NOT NULL,
  name          text COLLATE "C" NOT NULL,
  epoch         text NOT NULL,
  created_at_ms bigint NOT NULL,
  first_seq     bigint NOT NULL DEFAULT 1,
  last_seq      bigint NOT NULL DEFAULT 0,
  stored_bytes  bigint NOT NULL DEFAULT 0,
  segment       integer, -- of the last message
  max_age_s     bigint,
  max_messages  bigint,
  max_bytes     bigint,
  UNIQUE (tenant, name)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Deleted topics whose messages are still to be removed.
CREATE TABLE conduit.gone_topics (
  topic_id bigint PRIMARY KEY
);

-- The log ---------------------------------------------------------------------------------------

-- The log is cut by time and size into segments, each a table of its own that is dropped as a whole.
CREATE TABLE conduit.segments (
  segment    integer PRIMARY KEY,
  began_at   timestamptz NOT NULL DEFAULT now(),
  retired_at timestamptz -- NULL for the one that takes messages
);
CREATE UNIQUE INDEX segments_current ON conduit.segments ((retired_at IS NULL))
  WHERE retired_at IS NULL;

-- Rows are never changed. What stands below its topic's first_seq is gone for all who read.
CREATE TABLE conduit.messages (
  segment         integer NOT NULL,
  topic_id        bigint NOT NULL,
  seq             bigint NOT NULL,
  message_id      uuid NOT NULL,
  published_at_ms bigint NOT NULL,
  bytes           integer NOT NULL, -- of payload, key and headers
  key             bytea,
  headers         bytea,
  payload         bytea NOT NULL
) PARTITION BY LIST (segment);
-- Large payloads are kept as they came: compressing them would cost every publish.
ALTER TABLE conduit.messages ALTER payload SET STORAGE EXTERNAL;

-- Made apart and then attached: that lets everybody else go on. The check spares reading the table.
CREATE FUNCTION conduit.add_segment(number integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE conduit.messages_%s ('
    'LIKE conduit.messages INCLUDING STORAGE, '
    'CONSTRAINT segment CHECK (segment = %s), '
    'PRIMARY KEY (topic_id, seq))', number, number);
  EXECUTE format('CREATE INDEX messages_%s_by_id ON conduit.messages_%s (message_id)',
    number, number);
  EXECUTE format('ALTER TABLE conduit.messages ATTACH PARTITION conduit.messages_%s '
    'FOR VALUES IN (%s)', number, number);
  INSERT INTO conduit.segments (segment) VALUES (number);
END $$;

SELECT conduit.add_segment(1);

-- Which segment holds a topic's numbers from first_seq on, up to the next row of the topic.
CREATE TABLE conduit.extents (
  topic_id  bigint NOT NULL,
  first_seq bigint NOT NULL,
  segment   integer NOT NULL,
  PRIMARY KEY (topic_id, first_seq)
);
CREATE INDEX extents_by_segment ON conduit.extents (segment);

CREATE TABLE conduit.idempotency_keys (
  topic_id        bigint NOT NULL,
  key             bytea NOT NULL,
  message_id      uuid NOT NULL,
  seq             bigint NOT NULL,
  published_at_ms bigint NOT NULL,
  PRIMARY KEY (topic_id, key)
);
CREATE INDEX idempotency_keys_by_time ON conduit.idempotency_keys (published_at_ms, seq);

-- Durable subscriptions -------------------------------------------------------------------------

CREATE SEQUENCE conduit.subscription_ids AS bigint;

CREATE TABLE conduit.subscriptions (
  subscription_id bigint PRIMARY KEY DEFAULT nextval('conduit.subscription_ids'),
  tenant          text COLLATE "C" NOT NULL,
  name            text COLLATE "C" NOT NULL,
  pattern         text COLLATE "C" NOT NULL,
  created_at_ms   bigint NOT NULL,
  paused          boolean NOT NULL DEFAULT false,
  settings        text NOT NULL, -- JSON
  UNIQUE (tenant, name)
);

-- A topic without a row begins at 0.
CREATE TABLE conduit.progress (
  subscription_id bigint NOT NULL REFERENCES conduit.subscriptions ON DELETE CASCADE,
  topic_id        bigint NOT NULL,
  floor           bigint NOT NULL,
  cursor          bigint NOT NULL,
  open            bytea NOT NULL,
  PRIMARY KEY (subscription_id, topic_id)
) WITH (fillfactor = 50);
CREATE INDEX progress_by_topic ON conduit.progress (topic_id);

-- Dead letters ----------------------------------------------------------------------------------

CREATE TABLE conduit.dead_letters (
  dead_id         text COLLATE "C" PRIMARY KEY,
  tenant          text COLLATE "C" NOT NULL,
  subscription    text COLLATE "C" NOT NULL,
  topic           text COLLATE "C" NOT NULL,
  topic_id        bigint NOT NULL,
  seq             bigint NOT NULL,
  message_id      uuid NOT NULL,
  attempts        integer NOT NULL,
  reason          bytea NOT NULL,
  died_at_ms      bigint NOT NULL,
  redriven_at_ms  bigint,
  published_at_ms bigint NOT NULL,
  key             bytea,
  headers         bytea,
  payload         bytea NOT NULL,
  UNIQUE (topic_id, seq, subscription) -- a topic id belongs to one tenant
);
CREATE INDEX dead_letters_by_tenant ON conduit.dead_letters (tenant, dead_id);
CREATE INDEX dead_letters_by_subscription ON conduit.dead_letters (tenant, subscription, dead_id);
CREATE INDEX dead_letters_by_time ON conduit.dead_letters (died_at_ms);
