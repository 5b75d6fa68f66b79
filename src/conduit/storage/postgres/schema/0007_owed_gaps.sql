-- expand
-- What a durable subscription has to be told of topics that are gone, until it is known to have heard it: also
-- of those that are not made anew, and of positions that its start asked for and that are not there. Before,
-- progress in a topic's successor was taken for that.
DELETE FROM conduit.former_topics AS f USING conduit.subscriptions AS s, conduit.topics AS t
WHERE s.subscription_id = f.subscription_id AND t.tenant = s.tenant AND t.name = f.name AND (
  EXISTS (
    SELECT FROM conduit.progress AS p
    WHERE p.subscription_id = s.subscription_id AND p.topic_id = t.topic_id)
  OR s.begins ? t.topic_id::text);

ALTER TABLE conduit.former_topics
  ADD COLUMN last_seq bigint, -- NULL: not known
  ADD COLUMN reason text NOT NULL DEFAULT 'epoch_changed';
