-- contract 6
-- What many open deliveries of a subscription in a topic are, beside its row of progress: a page for each
-- range of numbers, so that what is written follows from what changed. Servers of the version before do not
-- see them: they would settle what stands there.
CREATE TABLE conduit.progress_pages (
  subscription_id bigint NOT NULL REFERENCES conduit.subscriptions ON DELETE CASCADE,
  topic_id        bigint NOT NULL,
  page            bigint NOT NULL,
  retries         bytea NOT NULL,
  PRIMARY KEY (subscription_id, topic_id, page)
) WITH (fillfactor = 50);
CREATE INDEX progress_pages_by_topic ON conduit.progress_pages (topic_id);
