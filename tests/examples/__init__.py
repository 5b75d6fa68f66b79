"""The examples are run as they are documented."""
