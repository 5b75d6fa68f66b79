-- What the store knows about itself, by name: its time (broker/store_time.py), which copy it is.

CREATE TABLE facts (
  name  TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
