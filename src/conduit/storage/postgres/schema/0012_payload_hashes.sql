-- expand
-- A key says of which payload its first publish was, so that another payload under it can be refused. NULL: it was
-- recorded before, and any payload is taken for that.
ALTER TABLE conduit.idempotency_keys ADD COLUMN payload_hash bytea;
