-- contract 14
-- A transaction sees the rows of the tenant that it says it is for, in `conduit.tenant`; those of all tenants if
-- that is '*'; and none if it says nothing, also none of no tenant ('' is what a setting that was local leaves).
-- Superusers, and roles with BYPASSRLS, see all. Servers of before say nothing.

ALTER TABLE conduit.tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE conduit.api_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE conduit.audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE conduit.topics ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE conduit.subscriptions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE conduit.dead_letters ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE conduit.dead_tallies ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY of_tenant ON conduit.tenants
  USING (nullif(current_setting('conduit.tenant', true), '') IN ('*', tenant));
CREATE POLICY of_tenant ON conduit.api_keys
  USING (nullif(current_setting('conduit.tenant', true), '') IN ('*', tenant));
CREATE POLICY of_tenant ON conduit.audit
  USING (nullif(current_setting('conduit.tenant', true), '') IN ('*', tenant));
CREATE POLICY of_tenant ON conduit.topics
  USING (nullif(current_setting('conduit.tenant', true), '') IN ('*', tenant));
CREATE POLICY of_tenant ON conduit.subscriptions
  USING (nullif(current_setting('conduit.tenant', true), '') IN ('*', tenant));
CREATE POLICY of_tenant ON conduit.dead_letters
  USING (nullif(current_setting('conduit.tenant', true), '') IN ('*', tenant));
CREATE POLICY of_tenant ON conduit.dead_tallies
  USING (nullif(current_setting('conduit.tenant', true), '') IN ('*', tenant));
