"""`conduit bench`: how fast a server is, measured so that the figures can be believed."""
