"""nir import: runs made of what other programs trained."""

from __future__ import annotations

import argparse
from pathlib import Path

PROGRAMS = ("nerf-pytorch",)


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add this command to the command line."""
    command = commands.add_parser("import", help="make a run of another program's checkpoint")
    command.add_argument("program", choices=PROGRAMS, help="what trained it")
    command.add_argument("file", type=Path, help="its checkpoint, such as logs/lego/200000.tar")
    command.add_argument("run", type=Path, help="the run's folder, to be written")
    command.add_argument("--subject", required=True, help="the scene it was trained on")
    command.add_argument(
        "--task", choices=["nerf", "nerf_llff"], default="nerf", help="of the run; default: nerf"
    )
    command.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="values the file cannot tell"
    )
    command.set_defaults(command=_import)


def _import(options: argparse.Namespace) -> None:
    from nir.commands.training import parse_setting
    from nir.importing.nerf_pytorch import import_checkpoint

    changes = dict(map(parse_setting, options.set))
    import_checkpoint(
        options.file, options.run, subject=options.subject, task=options.task, changes=changes
    )
