-- expand
-- The nodes that share the log, and their leases; in the home. Of no tenant: nothing here is shown by row.
-- Each renews its row every second: half-empty pages have room for the next version of a row beside it.
CREATE TABLE conduit.nodes (
  name        text COLLATE "C" PRIMARY KEY,
  incarnation uuid NOT NULL, -- of the process that has the name
  address     text NOT NULL,
  version     text NOT NULL,
  protocol    integer NOT NULL, -- of the links between nodes
  state       text NOT NULL, -- up, draining
  number      bigint NOT NULL, -- how many starts the name had
  started_at  timestamptz NOT NULL,
  lease_until timestamptz NOT NULL,
  left_at     timestamptz -- set: it ended its lease itself
) WITH (fillfactor = 10);
