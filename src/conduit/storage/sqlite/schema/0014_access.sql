-- Who may do what: tenants, their API keys, one-time tickets; and what was done.

-- Grows by one with each change of tenants and keys; a row has the number of its last one.
CREATE TABLE access (
  is_only  INTEGER PRIMARY KEY CHECK (is_only = 1),
  revision INTEGER NOT NULL
) STRICT;

CREATE TABLE tenants (
  tenant        TEXT PRIMARY KEY,
  created_at_ms INTEGER NOT NULL,
  limits        TEXT NOT NULL, -- JSON
  deleted_at_ms INTEGER,
  revision      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tenants_by_revision ON tenants (revision);
CREATE INDEX tenants_deleted ON tenants (deleted_at_ms) WHERE deleted_at_ms IS NOT NULL;

INSERT INTO access VALUES (1, 1);
INSERT INTO tenants VALUES ('default', CAST(strftime('%s', 'now') AS INTEGER) * 1000, '{}', NULL, 1);

CREATE TABLE api_keys (
  key_id          TEXT PRIMARY KEY,
  tenant          TEXT NOT NULL,
  name            TEXT NOT NULL,
  grants          TEXT NOT NULL, -- JSON
  secret_hash     BLOB NOT NULL,
  created_at_ms   INTEGER NOT NULL,
  created_by      TEXT NOT NULL,
  limits          TEXT NOT NULL, -- JSON
  expires_at_ms   INTEGER,
  former_hash     BLOB,
  former_until_ms INTEGER,
  revoked_at_ms   INTEGER,
  last_used_at_ms INTEGER,
  revision        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_by_revision ON api_keys (revision);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant);
CREATE INDEX api_keys_revoked ON api_keys (revoked_at_ms) WHERE revoked_at_ms IS NOT NULL;
CREATE INDEX api_keys_expiring ON api_keys (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

CREATE TABLE tickets (
  ticket_hash   BLOB PRIMARY KEY,
  value         BLOB NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tickets_by_expiry ON tickets (expires_at_ms);

CREATE TABLE audit (
  entry_id   TEXT PRIMARY KEY,
  at_ms      INTEGER NOT NULL,
  tenant     TEXT NOT NULL, -- empty for what belongs to none
  actor      TEXT NOT NULL,
  action     TEXT NOT NULL,
  target     TEXT NOT NULL,
  address    TEXT NOT NULL,
  request_id TEXT NOT NULL,
  detail     TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_by_time ON audit (at_ms, entry_id);
CREATE INDEX audit_by_tenant ON audit (tenant, at_ms, entry_id);
