"""The command line. Each command reads its arguments and calls one function of the library.

Imports stand inside the commands, so that those without torch start fast. An `InputError` is one
line and exit code 2; an interrupted training has saved its state and exits with 128 + signal.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from nir.errors import InputError

Command = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    options = _parser().parse_args(arguments)
    log: Path | None = getattr(options, "log", None)
    try:
        options.command(options)
    except InputError as error:
        _say(f"nir: {error}", log)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        if exit_code := getattr(error, "exit_code", None):
            _say(f"nir: {error}", log)
            sys.exit(exit_code)
        _say(traceback.format_exc(), log)
        sys.exit(1)


def _say(message: str, log: Path | None) -> None:
    print(message, file=sys.stderr)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as handle:
            handle.write(message + "\n")


def _parser() -> argparse.ArgumentParser:
    from nir.commands import data, importing, reports, training

    parser = argparse.ArgumentParser(
        prog="nir", description="Neural implicit representations, experiment by experiment."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (data, training, importing, reports):
        module.add_to(commands)
    return parser
