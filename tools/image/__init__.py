"""The image of the Dockerfile, made and tried without an engine: every step of it in a bare Debian."""
