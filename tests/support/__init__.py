"""What tests over sockets share: a real server, and clients that are not Conduit's own."""
