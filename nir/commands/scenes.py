"""nir poses | doctor: photographs with cameras, and what is wrong with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from nir.commands.options import (
    DATA_ROOT,
    add_configuration,
    add_data_root,
    add_log,
    configuration_of,
    data_root_of,
)
from nir.errors import InputError


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the command line."""
    _add_poses(commands)
    _add_doctor(commands)


def _add_poses(commands: argparse._SubParsersAction) -> None:
    poses = commands.add_parser("poses", help="estimate the cameras of a folder of photos")
    poses.add_argument("photos", help="a folder of photos, or a name of the registry")
    poses.add_argument(
        "--out", type=Path, required=True, metavar="SCENE", help="the folder to be written"
    )
    poses.add_argument(
        "--factors", type=int, nargs="+", metavar="N", help="which images_N to write"
    )
    poses.add_argument(
        "--longer-side",
        type=int,
        default=1600,
        metavar="PIXELS",
        help="of photos while features are found; default: 1600",
    )
    poses.add_argument(
        "--exhaustive-at-most",
        type=int,
        default=100,
        metavar="N",
        help="more photos are matched with their neighbours by name only; default: 100",
    )
    poses.add_argument("--seed", type=int, default=0, help="of all that is random; default: 0")
    poses.add_argument("--threads", type=int, default=0, help="default: all cores")
    add_data_root(poses)
    add_log(poses)
    poses.set_defaults(command=_poses)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    doctor = commands.add_parser("doctor", help="examine a scene, or this installation")
    doctor.add_argument("scene", type=Path, nargs="?", help="a scene folder; none: this machine")
    doctor.add_argument(
        "--against",
        type=Path,
        metavar="SCENE",
        help="a scene of the same photos whose cameras are trusted",
    )
    add_configuration(doctor)
    doctor.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        help="to measure trainings for; default: 60; 0: do not",
    )
    add_data_root(doctor)
    add_log(doctor)
    doctor.set_defaults(command=_doctor)


def _poses(options: argparse.Namespace) -> None:
    from nir.data.colmap import estimate_poses
    from nir.data.fetch import resolve_subject
    from nir.reporting.drawings.cameras import write_camera_plot

    estimate_poses(
        resolve_subject(options.photos, data_root_of(options)),
        options.out,
        seed=options.seed,
        longer_side=options.longer_side,
        exhaustive_at_most=options.exhaustive_at_most,
        factors=options.factors,
        threads=options.threads,
        say=_sayer(options.log),
    )
    write_camera_plot(options.out, options.out / "cameras.png")


def _sayer(log: Path | None):
    """A function that writes progress to the terminal and to the log."""

    def say(line: str) -> None:
        print(f"[poses] {line}", file=sys.stderr, flush=True)
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8") as handle:
                handle.write(line + "\n")

    return say


def _doctor(options: argparse.Namespace) -> None:
    for line in _diagnosis(options):
        print(line, flush=True)


def _diagnosis(options: argparse.Namespace) -> Iterator[str]:
    if options.scene is not None:
        from nir.data.scene_report import compare_cameras, examine_scene

        yield from examine_scene(options.scene).sentences()
        if options.against is not None:
            yield from compare_cameras(options.scene, options.against)
        return
    yield from _diagnosis_of_installation(options)


def _diagnosis_of_installation(options: argparse.Namespace) -> Iterator[str]:
    from nir.doctor import examine_installation
    from nir.preflight import examine_plan

    config, mistake = {}, None
    if options.config.is_file():
        try:
            config = configuration_of(options)
        except InputError as error:
            mistake = error  # told once the installation, which it is no part of, is examined
    data_root = options.data_root or Path(config.get("data_root", DATA_ROOT))
    yield from examine_installation(data_root)
    if mistake is not None:
        raise mistake
    if config:
        yield from examine_plan(config, data_root=data_root, seconds=options.seconds)
    else:
        yield f"experiments: no {options.config} here; run from the folder of the Snakefile"
