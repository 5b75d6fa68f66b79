"""The command `conduit`, also as `python -m conduit`.

What can end a command before it has begun, or after it has ended, is dealt with here.
"""

from __future__ import annotations

import sys

# Of `cli/exits.py`, which may not be loaded yet.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from conduit.cli.main import main as command
        from conduit.cli.streams import drop_unwritten, lose_unsaid, open_missing

        open_missing()
        lose_unsaid()
        try:
            command(prog_name="conduit")
        finally:
            drop_unwritten()
    except KeyboardInterrupt:
        # While it was being loaded: there is nothing to say.
        sys.exit(_INTERRUPTED)
    finally:
        # Not on top, where a Ctrl-C while it is loaded would be a traceback.
        import signal

        # Only Python's own end is left, where a Ctrl-C would be told with a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
