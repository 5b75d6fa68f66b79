"""The contract of one node, checked over sockets against the real server."""
