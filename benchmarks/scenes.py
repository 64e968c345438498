"""Benchmark: a whole scene by the paper's recipe, trained in pieces that each end in time.

    python -m benchmarks scenes lego --data-root DATA --out RUN [--minutes 9] [--set KEY=VALUE ...]
        [--device cuda] [--json FILE]

A piece trains until its minutes are over, saves, and leaves with code 75: run the same command
again until it leaves with 0. The last piece predicts all test views, compares them with the truth
and says what was reached, and in how many seconds of training. `fern` and the other forward-facing
scenes get the recipe of real captures, all others that of the synthetic ones; on a GPU products are
in bfloat16 and fields are compiled.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.machine import describe
from nir.evaluation import evaluate_run
from nir.files import read_json, write_json
from nir.recipes.base import Recipe
from nir.runs import choose_device, predict_run, train_run
from nir.specification import RunSpecification
from nir.tasks import task_entry
from nir.tasks.nerf_predictions import LLFF_SCENES
from nir.training import TrainingInterruptedError

UNFINISHED = 75
"""Exit code of a piece that is not the last (sysexits.h: try again)."""


def recipe_for(task: str, device: torch.device, changes: list[str]) -> Recipe:
    """The paper's recipe, as a GPU runs it fastest, with changes written KEY=VALUE."""
    values: dict[str, Any] = {"video_frames": 0, "perceptual": False}
    if device.type == "cuda":
        values |= {"precision": "bfloat16", "compiled": True}
    for change in changes:
        key, _, value = change.partition("=")
        values[key] = yaml.safe_load(value)
    return task_entry(task).recipe_class().from_dict(values, where="--set")


def train_piece(specification: RunSpecification, options: argparse.Namespace) -> bool:
    """Train until the end, or until the minutes are over; whether it was the end."""
    if (options.out / "model.pt").is_file():
        return True
    try:
        with asked_to_stop_after(60 * options.minutes):
            train_run(
                specification,
                options.out,
                checkpoints_root=options.out.parent / ".checkpoints",
                data_root=options.data_root,
                device=choose_device(options.device),
                label=specification.subject,
            )
    except TrainingInterruptedError as stopped:
        print(f"{stopped}; run the same command again")
        return False
    return True


@contextlib.contextmanager
def asked_to_stop_after(seconds: float) -> Iterator[None]:
    """Send SIGTERM to this process then, and each second after; training saves and stops at it.

    Outside of training the signal does nothing: while data is read, the piece is not yet over.
    """
    over = threading.Event()

    def ring() -> None:
        if not over.wait(seconds):
            while not over.is_set():
                os.kill(os.getpid(), signal.SIGTERM)
                over.wait(1)

    previous = signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    bell = threading.Thread(target=ring, daemon=True)
    bell.start()
    try:
        yield
    finally:
        over.set()
        bell.join()
        signal.signal(signal.SIGTERM, previous)


def reached(folder: Path, device: torch.device) -> dict[str, Any]:
    """Means over test views, the time of training, and the machine."""
    values: dict[str, list[float]] = {}
    protocols = set()
    for row in evaluate_run(folder)["metrics"]:
        if row["split"] and row["value"] is not None:
            values.setdefault(f"{row['split']} {row['metric']}", []).append(row["value"])
            protocols.add(row["protocol"])
    return {
        "machine": describe(device),
        "run": read_json(folder / "recipe.json"),
        "training": read_json(folder / "training.json"),
        "protocol": sorted(protocols),
        "reached": {name: sum(found) / len(found) for name, found in values.items()},
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="a whole scene, in pieces")
    parser.add_argument("scene", help="a name of the registry, or a folder")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """One piece; the exit code."""
    if options.threads:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    forward_facing = (
        Path(options.scene).name in LLFF_SCENES
        or (Path(options.scene) / "poses_bounds.npy").is_file()
    )
    task = "nerf_llff" if forward_facing else "nerf"
    recipe = recipe_for(task, device, options.set)
    specification = RunSpecification(task=task, subject=options.scene, seed=0, recipe=recipe)
    if not train_piece(specification, options):
        return UNFINISHED
    began = time.perf_counter()
    predict_run(options.out, data_root=options.data_root, device=device)
    result = reached(options.out, device)
    result["seconds_of_prediction"] = round(time.perf_counter() - began, 1)
    for name, value in result["reached"].items():
        print(f"{name}: {value:.4g}")
    print(f"trained {result['training']['seconds']:.0f} s on {result['machine']['device']}")
    if options.json:
        write_json(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(run(parse()))
