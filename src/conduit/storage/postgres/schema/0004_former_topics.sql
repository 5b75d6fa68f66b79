-- expand
-- Deleted topics that durable subscriptions followed, so that they are told when one is made anew. In the
-- home, as the subscriptions are.
CREATE TABLE conduit.former_topics (
  subscription_id bigint NOT NULL REFERENCES conduit.subscriptions ON DELETE CASCADE,
  name            text COLLATE "C" NOT NULL,
  epoch           text NOT NULL, -- of the deleted topic
  floor           bigint NOT NULL,
  deleted_at_ms   bigint NOT NULL,
  PRIMARY KEY (subscription_id, name)
);
CREATE INDEX former_topics_by_time ON conduit.former_topics (deleted_at_ms);
