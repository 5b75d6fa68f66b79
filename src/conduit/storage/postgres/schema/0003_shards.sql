-- expand
-- Which part of which log this database is. Number 0 is the home: it has the names of all topics, the
-- subscriptions, their progress and the dead letters. The others have topics, their messages and keys.
CREATE TABLE conduit.shard (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  log_id  uuid NOT NULL,
  number  integer NOT NULL CHECK (number BETWEEN 0 AND 63)
);
