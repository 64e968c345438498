"""nir bake | view: a run as something that a browser draws."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nir.commands.options import add_data_root, add_device, add_log, data_root_of

VIEWER = "viewer"


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the command line."""
    bake = commands.add_parser("bake", help="make a NeX run a folder that a web server can serve")
    bake.add_argument("run", type=Path, help="the run's folder")
    bake.add_argument("--out", type=Path, metavar="FOLDER", help="default: RUN/viewer")
    _add_baking(bake)
    bake.set_defaults(command=_bake)

    view = commands.add_parser("view", help="look at a NeX run, or at results, in a browser")
    view.add_argument("folder", type=Path, help="a run, a baked folder, or results/SCALE")
    view.add_argument("--port", type=int, default=0, help="default: any free one")
    view.add_argument("--no-browser", action="store_true", help="serve only")
    view.add_argument("--again", action="store_true", help="bake the run even if it is baked")
    _add_baking(view)
    view.set_defaults(command=_view)


def _add_baking(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--texture-size", type=int, default=4096, metavar="PIXELS", help="largest side (4096)"
    )
    command.add_argument(
        "--resolution", type=float, metavar="N", help="texels a pixel (the recipe's, else 1)"
    )
    command.add_argument(
        "--least-weight",
        type=float,
        default=1 / 255,
        metavar="SHARE",
        help="leave out what contributes less to every pixel",
    )
    command.add_argument(
        "--kept-psnr",
        type=float,
        default=39.5,
        metavar="DB",
        help="leave out more while views stay this near (39.5); inf: nothing more",
    )
    add_data_root(command)
    add_device(command)
    add_log(command)


def _bake(options: argparse.Namespace) -> None:
    _bake_run(options, options.run, options.out or options.run / VIEWER)


def _bake_run(options: argparse.Namespace, run: Path, out: Path) -> None:
    from nir.baking import bake_run
    from nir.commands.training import computing
    from nir.viewers.planes.baked import BakeSettings

    settings = BakeSettings(
        largest_page=options.texture_size,
        least_weight=options.least_weight,
        kept_psnr=options.kept_psnr,
    )
    with computing(options, "bake") as device:
        report = bake_run(
            run,
            out,
            settings=settings,
            resolution=options.resolution,
            data_root=data_root_of(options),
            device=device,
        )
    sys.stdout.write(report + "\n")


def _view(options: argparse.Namespace) -> None:
    from nir.viewers.serving import serve_until_stopped

    serve_until_stopped(
        _folder_to_serve(options), port=options.port, open_browser=not options.no_browser, say=_say
    )


def _folder_to_serve(options: argparse.Namespace) -> Path:
    """The folder itself if it has a page, else the run's viewer, baked if that is needed."""
    from nir.errors import InputError

    folder = options.folder
    if (folder / "index.html").is_file():
        return folder
    if not (folder / "recipe.json").is_file():
        raise InputError(
            f"{folder}: neither a run (recipe.json) nor a folder with a page (index.html); "
            "give a run's folder, such as results/quick/nex/real_time/SCENE/nex/seed0"
        )
    viewer = folder / VIEWER
    if options.again or _is_older(viewer / "scene.json", folder / "model.pt"):
        _bake_run(options, folder, viewer)
    return viewer


def _is_older(baked: Path, model: Path) -> bool:
    """Whether there is no baked scene, or the model was trained after it."""
    if not baked.is_file():
        return True
    return model.is_file() and model.stat().st_mtime > baked.stat().st_mtime


def _say(line: str) -> None:
    print(f"[view] {line}", file=sys.stderr, flush=True)
