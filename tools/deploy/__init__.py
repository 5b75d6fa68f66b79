"""`make deploy-check`: what Conduit is deployed with is right, as far as that can be seen without doing it.

Schemas and linters look at the files; nginx, Caddy and systemd read theirs. That every setting in them is one
of Conduit's, and that what they describe works, is in `tests/deploy`.
"""
