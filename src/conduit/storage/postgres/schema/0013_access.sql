-- expand
-- Who may do what: tenants, their API keys, one-time tickets; and what was done. All of it is in the home.

-- Grows by one with each change of tenants and keys; a row has the number of its last one. Locked until the
-- change is committed: nobody sees a number whose predecessors are not there.
CREATE TABLE conduit.access (
  is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  revision bigint NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE conduit.tenants (
  tenant        text COLLATE "C" PRIMARY KEY,
  created_at_ms bigint NOT NULL,
  limits        text NOT NULL, -- JSON
  deleted_at_ms bigint,
  revision      bigint NOT NULL
);
CREATE INDEX tenants_by_revision ON conduit.tenants (revision, tenant);
CREATE INDEX tenants_deleted ON conduit.tenants (deleted_at_ms) WHERE deleted_at_ms IS NOT NULL;

INSERT INTO conduit.access (revision) VALUES (1);
INSERT INTO conduit.tenants (tenant, created_at_ms, limits, revision)
VALUES ('default', (extract(epoch FROM now()) * 1000)::bigint, '{}', 1);

CREATE TABLE conduit.api_keys (
  key_id          text COLLATE "C" PRIMARY KEY,
  tenant          text COLLATE "C" NOT NULL,
  name            text NOT NULL,
  grants          text NOT NULL, -- JSON
  secret_hash     bytea NOT NULL,
  created_at_ms   bigint NOT NULL,
  created_by      text NOT NULL,
  limits          text NOT NULL, -- JSON
  expires_at_ms   bigint,
  former_hash     bytea,
  former_until_ms bigint,
  revoked_at_ms   bigint,
  last_used_at_ms bigint,
  revision        bigint NOT NULL
);
CREATE INDEX api_keys_by_revision ON conduit.api_keys (revision, key_id);
CREATE INDEX api_keys_by_tenant ON conduit.api_keys (tenant);
CREATE INDEX api_keys_revoked ON conduit.api_keys (revoked_at_ms) WHERE revoked_at_ms IS NOT NULL;
CREATE INDEX api_keys_expiring ON conduit.api_keys (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

CREATE TABLE conduit.tickets (
  ticket_hash   bytea PRIMARY KEY,
  value         bytea NOT NULL,
  expires_at_ms bigint NOT NULL
);
CREATE INDEX tickets_by_expiry ON conduit.tickets (expires_at_ms);

CREATE TABLE conduit.audit (
  entry_id   text COLLATE "C" PRIMARY KEY,
  at_ms      bigint NOT NULL,
  tenant     text COLLATE "C" NOT NULL, -- empty for what belongs to none
  actor      text NOT NULL,
  action     text NOT NULL,
  target     text NOT NULL,
  address    text NOT NULL,
  request_id text NOT NULL,
  detail     text NOT NULL -- JSON
);
CREATE INDEX audit_by_time ON conduit.audit (at_ms, entry_id);
CREATE INDEX audit_by_tenant ON conduit.audit (tenant, at_ms, entry_id);
