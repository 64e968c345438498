"""nir poses | doctor: photographs with cameras, and what is wrong with them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from nir.commands.options import add_data_root, add_log


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the command line."""
    poses = commands.add_parser("poses", help="estimate the cameras of a folder of photos")
    poses.add_argument("photos", help="a folder of photos, or a name of the registry")
    poses.add_argument("--out", type=Path, required=True, metavar="SCENE")
    poses.add_argument(
        "--factors", type=int, nargs="+", metavar="N", help="which images_N to write"
    )
    poses.add_argument(
        "--longer-side", type=int, default=1600, metavar="PIXELS", help="for finding features"
    )
    poses.add_argument(
        "--exhaustive-at-most",
        type=int,
        default=100,
        metavar="N",
        help="more photos are matched with their neighbours by name only",
    )
    poses.add_argument("--seed", type=int, default=0)
    poses.add_argument("--threads", type=int, default=0, help="default: all cores")
    add_data_root(poses)
    add_log(poses)
    poses.set_defaults(command=_poses)

    doctor = commands.add_parser("doctor", help="examine a scene, or this installation")
    doctor.add_argument("scene", type=Path, nargs="?", help="a scene folder; none: this machine")
    doctor.add_argument(
        "--against",
        type=Path,
        metavar="SCENE",
        help="a scene of the same photos whose cameras are trusted",
    )
    doctor.add_argument("--config", type=Path, default=Path("config.yaml"), metavar="FILE")
    doctor.add_argument("--scale", choices=["smoke", "quick", "paper"], help="default: the file's")
    doctor.add_argument(
        "--seconds", type=float, default=60.0, help="to measure trainings for; 0: do not"
    )
    add_data_root(doctor)
    add_log(doctor)
    doctor.set_defaults(command=_doctor)


def _poses(options: argparse.Namespace) -> None:
    from nir.data.colmap import estimate_poses
    from nir.data.fetch import resolve_subject
    from nir.reporting.drawings.cameras import write_camera_plot

    estimate_poses(
        resolve_subject(options.photos, options.data_root),
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
    from nir.doctor import examine_installation
    from nir.preflight import examine_plan

    yield from examine_installation(options.data_root)
    if options.config.is_file():
        yield from examine_plan(
            options.config,
            scale=options.scale,
            data_root=options.data_root,
            seconds=options.seconds,
        )
    else:
        yield f"experiments: no {options.config} here; run from the folder of the Snakefile"
