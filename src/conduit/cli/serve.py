"""`conduit serve`"""

from __future__ import annotations

import gc

import click


@click.command()
@click.option("--host", help="Address to listen on.  [env: CONDUIT_HOST]")
@click.option("--port", help="TCP port; 0 takes a free one.  [env: PORT]")
@click.option(
    "--database-url",
    metavar="URL",
    help="sqlite:///PATH or postgresql://… without a password; unset: in memory."
    "  [env: DATABASE_URL, or DATABASE_URL_FILE]",
)
@click.option(
    "--workers",
    metavar="N",
    help="So many nodes on this machine, which share the port: for its cores. Needs PostgreSQL."
    "  [env: CONDUIT_WORKERS]",
)
def serve(
    host: str | None, port: str | None, database_url: str | None, workers: str | None
) -> None:
    """Run the server until SIGTERM, Ctrl-C, or its terminal is closed.

    All settings are environment variables, and `conduit settings` lists them; an option wins over
    its variable. Settings that cannot be used are listed on stderr, and the exit code is 2.
    """
    # Not on top: the server takes half a second to import, which other commands can do without.
    from conduit.environment import load_settings

    settings = load_settings(host=host, port=port, database_url=database_url, workers=workers)
    may_color = click.get_current_context().color is not False
    worker = None
    if settings.workers > 1:
        from conduit.server.workers.supervisor import supervise

        became = supervise(settings, may_color=may_color)
        if isinstance(became, int):
            raise click.exceptions.Exit(became)
        settings, worker = became
    # What is loaded is no garbage, and there is very much of it to look at. `collecting.py` begins with it.
    gc.disable()
    # In each worker, which is a fork: whoever is forked has no threads.
    from conduit.server.app import run

    run(settings, may_color=may_color, worker=worker)
