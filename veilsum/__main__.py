"""`python -m veilsum` is the command `veilsum`."""

from .cli import main

main()
