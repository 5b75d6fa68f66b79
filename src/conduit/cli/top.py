"""`conduit top`"""

import click


@click.command()
def top() -> None:
    """Live."""
