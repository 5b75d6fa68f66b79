-- expand
-- What the store knows about itself, by name: its time (broker/store_time.py), which copy it is.
CREATE TABLE conduit.facts (
  name  text PRIMARY KEY,
  value bytea NOT NULL
);
