"""What `make` runs for a release: not a part of the package."""
