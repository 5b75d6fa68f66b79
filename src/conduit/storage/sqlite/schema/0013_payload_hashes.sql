-- A key says of which payload its first publish was, so that another payload under it can be refused. NULL: it was
-- recorded before, and any payload is taken for that.
ALTER TABLE idempotency_keys ADD COLUMN payload_hash BLOB;

-- With all that is asked of the newest keys at start, as before.
DROP INDEX idempotency_keys_by_time;
CREATE INDEX idempotency_keys_by_time
ON idempotency_keys (published_at_ms, seq, message_id, payload_hash);

DROP VIEW incoming_messages;
CREATE VIEW incoming_messages AS
SELECT topic_id, seq, message_id, published_at_ms, bytes, key, headers, payload,
       NULL AS idempotency_key, NULL AS payload_hash
FROM messages;

CREATE TRIGGER append_message INSTEAD OF INSERT ON incoming_messages BEGIN
  INSERT INTO messages VALUES (
    NEW.topic_id, NEW.seq, NEW.message_id, NEW.published_at_ms, NEW.bytes, NEW.key, NEW.headers,
    NEW.payload);
  UPDATE topics SET last_seq = NEW.seq, stored_bytes = stored_bytes + NEW.bytes
  WHERE topic_id = NEW.topic_id;
  INSERT INTO idempotency_keys
  SELECT NEW.topic_id, NEW.idempotency_key, NEW.message_id, NEW.seq, NEW.published_at_ms,
         NEW.payload_hash
  WHERE NEW.idempotency_key IS NOT NULL
  ON CONFLICT (topic_id, key) DO UPDATE SET
    message_id = excluded.message_id, seq = excluded.seq,
    published_at_ms = excluded.published_at_ms, payload_hash = excluded.payload_hash;
END;
