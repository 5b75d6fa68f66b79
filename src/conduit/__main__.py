"""`python -m conduit` is the command `conduit`."""

from __future__ import annotations

from conduit.cli.main import main

if __name__ == "__main__":
    main(prog_name="conduit")
