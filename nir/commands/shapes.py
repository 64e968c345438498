"""nir shapes prepare: folders of meshes, made ready for training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nir.commands.options import add_data_root, add_log, data_root_of


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the command line."""
    shapes = commands.add_parser("shapes", help="prepare folders of meshes for training")
    kinds = shapes.add_subparsers(required=True, metavar="WHAT")
    prepare = kinds.add_parser("prepare", help="sample, render and voxelise all meshes of a folder")
    prepare.add_argument("folder", help="a folder of meshes, or a name of the registry")
    prepare.add_argument(
        "--out", type=Path, required=True, metavar="COLLECTION", help="the folder to be written"
    )
    prepare.add_argument(
        "--size",
        choices=("paper", "small", "tiny"),
        default="paper",
        help="how much is drawn; default: paper",
    )
    prepare.add_argument("--jobs", type=int, default=0, help="processes; default: all cores")
    add_data_root(prepare)
    add_log(prepare)
    prepare.set_defaults(command=_prepare)


def _prepare(options: argparse.Namespace) -> None:
    from nir.data.fetch import resolve_subject
    from nir.data.shape_preparation import PREPARATIONS, available_cores, prepare_folder

    def say(line: str) -> None:
        print(f"[shapes] {line}", file=sys.stderr, flush=True)
        if options.log is not None:
            options.log.parent.mkdir(parents=True, exist_ok=True)
            with options.log.open("a", encoding="utf-8") as handle:
                handle.write(line + "\n")

    prepare_folder(
        resolve_subject(options.folder, data_root_of(options)),
        options.out,
        PREPARATIONS[options.size],
        jobs=options.jobs or available_cores(),
        say=say,
    )
