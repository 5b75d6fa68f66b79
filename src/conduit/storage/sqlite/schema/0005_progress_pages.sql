-- What many open deliveries of a subscription in a topic are, beside its row of progress: a page for each
-- range of numbers, so that what is written follows from what changed. 200,000 in the row of progress were
-- 4.9 MB, written again for each ack.

CREATE TABLE progress_pages (
  subscription_id INTEGER NOT NULL,
  topic_id        INTEGER NOT NULL,
  page            INTEGER NOT NULL,
  retries         BLOB NOT NULL,
  PRIMARY KEY (subscription_id, topic_id, page)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER forget_progress_pages AFTER DELETE ON progress BEGIN
  DELETE FROM progress_pages
  WHERE subscription_id = OLD.subscription_id AND topic_id = OLD.topic_id;
END;
