-- Deleted topics that durable subscriptions followed, so that they are told when one is made anew.

CREATE TABLE former_topics (
  subscription_id INTEGER NOT NULL,
  name            TEXT NOT NULL,
  epoch           TEXT NOT NULL, -- of the deleted topic
  floor           INTEGER NOT NULL,
  deleted_at_ms   INTEGER NOT NULL,
  PRIMARY KEY (subscription_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX former_topics_by_time ON former_topics (deleted_at_ms);

CREATE TRIGGER forget_former_topics AFTER DELETE ON subscriptions BEGIN
  DELETE FROM former_topics WHERE subscription_id = OLD.subscription_id;
END;
