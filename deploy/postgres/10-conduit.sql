-- The role that Conduit logs in with, and its database; the image runs this once, when the volume is made. The role is
-- no superuser, so PostgreSQL itself keeps tenants apart.
\getenv password POSTGRES_PASSWORD
CREATE ROLE conduit LOGIN PASSWORD :'password';
CREATE DATABASE conduit OWNER conduit;
-- The superuser has no password, so it comes in from inside of the container only.
ALTER ROLE postgres PASSWORD NULL;
