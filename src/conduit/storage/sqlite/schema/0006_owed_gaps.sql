-- What a durable subscription has to be told of topics that are gone, until it is known to have heard it: also
-- of those that are not made anew, and of positions that its start asked for and that are not there. Before,
-- progress in a topic's successor was taken for that.

DELETE FROM former_topics AS f WHERE EXISTS (
  SELECT 1 FROM subscriptions AS s
  JOIN topics AS t ON t.tenant = s.tenant AND t.name = f.name
  WHERE s.subscription_id = f.subscription_id AND (
    EXISTS (
      SELECT 1 FROM progress AS p
      WHERE p.subscription_id = s.subscription_id AND p.topic_id = t.topic_id)
    OR t.topic_id IN (SELECT CAST(b.key AS INTEGER) FROM json_each(s.begins) AS b)));

ALTER TABLE former_topics ADD COLUMN last_seq INTEGER; -- NULL: not known
ALTER TABLE former_topics ADD COLUMN reason TEXT NOT NULL DEFAULT 'epoch_changed';
