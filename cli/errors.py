"""One plain line for an error, and an exit code that means something.

0 done; 1 the answer is no (a delivery is not whole, a run not found); 2 the call is wrong; 3 a part of the pipeline
cannot be reached or cannot go on.
"""

from __future__ import annotations

import click

NO = 1
USAGE = 2
UNAVAILABLE = 3


class CommandError(click.ClickException):
    """An error that a user can act on; printed as `error: TEXT`."""

    exit_code = UNAVAILABLE

    def __init__(self, message: str, exit_code: int = UNAVAILABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def show(self, file: object = None) -> None:
        click.echo(f"error: {self.message}", err=True)
