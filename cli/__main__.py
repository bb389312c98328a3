"""`python -m proventrail.cli` is the command `proventrail`."""

from proventrail.cli import main

main()
