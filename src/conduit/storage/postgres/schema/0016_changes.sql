-- expand
-- What was changed, so that every server hears of it: which topics and subscriptions were made, changed or deleted,
-- not what they are now. Written by triggers in the transaction of the change, also for servers of the version
-- before. Who reads keeps the snapshot of that, and asks next for what transactions have changed that were not
-- visible in it: so nothing is missed, whatever the order in which they end, and nobody waits for anybody.
CREATE TABLE conduit.changes (
  xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
  kind    text COLLATE "C" NOT NULL, -- topic, or subscription
  id      bigint NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX changes_by_xid ON conduit.changes (xid);
CREATE INDEX changes_by_time ON conduit.changes (made_at);

-- Of transactions before it not all changes are kept: who has not read for so long reads everything.
CREATE TABLE conduit.changes_kept (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  xid     xid8 NOT NULL
);
INSERT INTO conduit.changes_kept (xid) VALUES ('0');

CREATE FUNCTION conduit.note_topics() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO conduit.changes (kind, id) SELECT 'topic', topic_id FROM changed;
  RETURN NULL;
END $$;
CREATE FUNCTION conduit.note_topic() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO conduit.changes (kind, id) VALUES ('topic', NEW.topic_id);
  RETURN NULL;
END $$;
CREATE FUNCTION conduit.note_subscriptions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO conduit.changes (kind, id) SELECT 'subscription', subscription_id FROM changed;
  RETURN NULL;
END $$;
CREATE FUNCTION conduit.note_subscription() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO conduit.changes (kind, id) VALUES ('subscription', NEW.subscription_id);
  RETURN NULL;
END $$;

CREATE TRIGGER note_made AFTER INSERT ON conduit.topics
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION conduit.note_topics();
CREATE TRIGGER note_deleted AFTER DELETE ON conduit.topics
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION conduit.note_topics();
-- Of these columns only: an append changes others of each topic that it writes to.
CREATE TRIGGER note_changed AFTER UPDATE OF epoch, max_age_s, max_messages, max_bytes ON conduit.topics
  FOR EACH ROW EXECUTE FUNCTION conduit.note_topic();
CREATE TRIGGER note_made AFTER INSERT ON conduit.subscriptions
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION conduit.note_subscriptions();
CREATE TRIGGER note_deleted AFTER DELETE ON conduit.subscriptions
  REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION conduit.note_subscriptions();
CREATE TRIGGER note_changed AFTER UPDATE OF paused, settings ON conduit.subscriptions
  FOR EACH ROW EXECUTE FUNCTION conduit.note_subscription();
