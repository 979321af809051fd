"""`python -m allophone`."""

from allophone.cli import main

main()
