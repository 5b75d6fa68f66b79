-- What deleted subscriptions leave is removed in slices, as messages of deleted topics are: 100,000 rows of
-- progress in the commit of the deletion kept every publisher waiting for 0.1 s. Ids are never given again.

CREATE TABLE gone_subscriptions (subscription_id INTEGER PRIMARY KEY) STRICT;

DROP TRIGGER forget_subscription;
DROP TRIGGER forget_former_topics;
DROP TRIGGER forget_begins;

CREATE TRIGGER forget_subscription AFTER DELETE ON subscriptions BEGIN
  INSERT INTO gone_subscriptions VALUES (OLD.subscription_id);
END;
