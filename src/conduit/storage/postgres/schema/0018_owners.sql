-- expand
-- Which node has a subscription: the incarnation of its process; NULL: nobody. Servers of the version before take it from
-- whoever has it, and leave this as it is. Not indexed: only a node that got its lease back asks for all that it has.
ALTER TABLE conduit.subscriptions ADD COLUMN owner uuid;

-- Claims a subscription for a node, or for nobody (NULL), and returns its new fence; or who has it, and how long its lease
-- holds. No row: there is no such subscription. VOLATILE: each of its queries sees what is committed when it begins, so
-- the lease is looked at as it is when the row is locked, however long that was waited for.
CREATE FUNCTION conduit.claim_subscription(claimed_id bigint, claimant uuid, by_force boolean)
RETURNS TABLE (fence bigint, holder uuid, left_s double precision) LANGUAGE plpgsql VOLATILE ROWS 1 AS $$
#variable_conflict use_column
DECLARE
  has uuid;
  lease_left interval;
BEGIN
  SELECT s.owner INTO has FROM conduit.subscriptions AS s
  WHERE s.subscription_id = claimed_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF has <> claimant AND NOT by_force THEN
    SELECT max(n.lease_until) - clock_timestamp() INTO lease_left
    FROM conduit.nodes AS n WHERE n.incarnation = has;
    IF lease_left > interval '0' THEN
      RETURN QUERY SELECT NULL::bigint, has, extract(epoch FROM lease_left)::double precision;
      RETURN;
    END IF;
  END IF;
  RETURN QUERY UPDATE conduit.subscriptions AS s SET fence = s.fence + 1, owner = claimant
  WHERE s.subscription_id = claimed_id RETURNING s.fence, NULL::uuid, NULL::double precision;
END $$;

-- That a subscription was moved is told as well: its owner may be another server, and have nothing to store by which it
-- would notice.
CREATE TRIGGER note_moved AFTER UPDATE OF begins ON conduit.subscriptions
  FOR EACH ROW EXECUTE FUNCTION conduit.note_subscription();
