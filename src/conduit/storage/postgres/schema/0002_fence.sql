-- expand
-- Who owns a subscription's progress: of an owner before the newest nothing is stored any more.
ALTER TABLE conduit.subscriptions ADD COLUMN fence bigint NOT NULL DEFAULT 0;
