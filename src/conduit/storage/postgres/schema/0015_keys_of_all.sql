-- expand
-- Whether a key is known is decided where its message is stored, so that one key is one message for all servers.
-- Its age is the database's affair: the clocks of the servers may differ. Servers of the version before decide for
-- themselves, and what they store counts here.
ALTER TABLE conduit.idempotency_keys ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now();

-- Which of these keys stand for a message that was stored in the last `window_s`. VOLATILE: what it reads is what
-- is committed when it is called, and not when the statement began that calls it. So it has to be called after the
-- rows of their topics were locked, which `locked_count` is there for: whoever stored one of the keys had them too.
CREATE FUNCTION conduit.known_keys(
  topic_ids bigint[], keys bytea[], window_s double precision, locked_count bigint
) RETURNS TABLE (
  place bigint, topic_id bigint, message_id uuid, seq bigint, published_at_ms bigint, payload_hash bytea
) LANGUAGE plpgsql VOLATILE ROWS 1 AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT asked.place, asked.topic_id, k.message_id, k.seq, k.published_at_ms, k.payload_hash
  FROM unnest(topic_ids, keys) WITH ORDINALITY AS asked (topic_id, key, place)
  CROSS JOIN LATERAL (
    -- One at a time by the primary key, whatever the statistics say.
    SELECT * FROM conduit.idempotency_keys AS k
    WHERE k.topic_id = asked.topic_id AND k.key = asked.key
      AND k.stored_at > now() - make_interval(secs => window_s)
    LIMIT 1) AS k;
END $$;
