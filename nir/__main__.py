"""`python -m nir` is the command line."""

from nir.cli import main

main()
