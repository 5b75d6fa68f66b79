-- expand
-- Where a subscription began, or was last moved to: topic id → floor, one value for all topics. A topic in
-- which something was recorded since has a row of progress, which counts instead. Ids of deleted topics may
-- stay in it until it is replaced: they are never given again.
-- Servers of the version before go on, but see rows of progress only: what a newer server creates or moves
-- begins at the first number for them where nothing was recorded since. None was released with that schema,
-- so no path is kept for running both.
ALTER TABLE conduit.subscriptions ADD COLUMN begins jsonb NOT NULL DEFAULT '{}';
