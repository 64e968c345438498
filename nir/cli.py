"""The command line. Each command reads its arguments and calls one function of the library.

Imports stand inside the commands, so that those without torch start fast. An `InputError` is one
line and exit code 2; an interrupted training has saved its state and exits with 128 + signal.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from nir.errors import InputError

DISK_TROUBLES = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT}
Command = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        exit_code, message = _explained(error)
        _say(message, getattr(options, "log", None))
        sys.exit(exit_code)


def _explained(error: Exception) -> tuple[int, str]:
    """Exit code and message: one line for people, a traceback for bugs."""
    if isinstance(error, InputError):
        return 2, f"nir: {error}"
    if isinstance(error, OSError) and error.errno in DISK_TROUBLES:
        return 2, f"nir: {error.filename or 'disk'}: {error.strerror}; make room or choose another"
    if exit_code := getattr(error, "exit_code", None):
        return exit_code, f"nir: {error}"
    return 1, traceback.format_exc()


def _say(message: str, log: Path | None) -> None:
    sys.stderr.write(message.rstrip("\n") + "\n")
    if log is not None:
        with contextlib.suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as handle:
                handle.write(message + "\n")


def _parser() -> argparse.ArgumentParser:
    from nir.commands import data, importing, reports, scenes, shapes, training, viewing

    parser = argparse.ArgumentParser(
        prog="nir", description="Neural implicit representations, experiment by experiment."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (data, scenes, shapes, training, importing, reports, viewing):
        module.add_to(commands)
    return parser
