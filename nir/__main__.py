"""The command line as a process of its own: the `nir` command, and `python -m nir`."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from nir.cli import main

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Instead of Python's 700: nearly all that a command imports lives as long as the process."""


def run() -> NoReturn:
    """Run the command of this process and end it at once.

    To search what torch brings along for garbage while it is imported, and to take it apart in
    the end, takes a second or more, as much as a short training's steps; a workflow has hundreds
    of those. All files are closed by then, so that nothing is left to do but to flush.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    exit_code = 0
    try:
        main()
    except SystemExit as ended:
        exit_code = int(ended.code or 0)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        exit_code = 1
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    run()
