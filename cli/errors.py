"""One plain line for an error, and an exit code that means something.

0 done; 1 the answer is no (a delivery is not whole, a dataset is not known, events were refused); 2 the call is wrong
(an option, a query, a file that holds no events); 3 a part of the pipeline cannot be reached or cannot go on;
130 Ctrl-C; 141 who reads the output went away (`| head`).
"""

from __future__ import annotations

import click

NO = 1
USAGE = 2
UNAVAILABLE = 3
INTERRUPTED = 130
CLOSED_PIPE = 141


class CommandError(click.ClickException):
    """An error that a user can act on; printed as `error: TEXT`."""

    def __init__(self, message: str, exit_code: int = UNAVAILABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
