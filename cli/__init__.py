"""The command `proventrail`."""

from __future__ import annotations


def main() -> None:
    """Entry point; exits with the codes of `proventrail.cli.errors`."""
    from proventrail.cli.app import run

    run()
