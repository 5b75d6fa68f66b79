-- Where a subscription began, or was last moved to: topic id → floor, one JSONB value for all topics. With a
-- row of progress for each, creating one on 20,000 topics kept every publisher waiting for 0.13 s. A topic
-- in which something was recorded since has a row of progress, which counts instead. Ids of deleted topics
-- may stay in it until it is replaced: they are never given again.

ALTER TABLE subscriptions ADD COLUMN begins BLOB NOT NULL DEFAULT x'0C'; -- which is {}
