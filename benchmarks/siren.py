"""Benchmark: SIREN on the paper's own signals, Bach's fugue, the bunny and the armadillo.

    python -m benchmarks siren [--cases bach bunny armadillo] [--data-root data] [--paper]
                               [--device cuda] [--json FILE]

Without `--paper` sizes are reduced to what a processor does in minutes; the recipe stands beside
every number, so that nobody takes the one for the other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import RESULTS, describe
from nir.evaluation import evaluate_run
from nir.files import write_json
from nir.runs import choose_device, mesh_run, predict_run, train_run
from nir.specification import RunSpecification
from nir.tasks import task_entry


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task on a signal of the registry, and what of the paper's recipe is reduced."""

    task: str
    subject: str
    has_surface: bool = False
    reduced: dict[str, Any] = field(default_factory=dict)


REDUCED_SOUND = {
    "steps": 500,
    "points_per_step": 8192,
    "learning_rate": 5e-4,
    "learning_rate_decay": 0.05,
}
REDUCED_SHAPE = {
    "steps": 1200,
    "width": 128,
    "cloud_points": 200_000,
    "mesh_resolution": 128,
    "learning_rate": 5e-4,
    "learning_rate_decay": 0.05,
}
CASES = {
    "bach": Case(task="audio", subject="bach", reduced=REDUCED_SOUND),
    "bunny": Case(
        task="signed_distance", subject="bunny_obj", has_surface=True, reduced=REDUCED_SHAPE
    ),
    "armadillo": Case(
        task="signed_distance", subject="armadillo_obj", has_surface=True, reduced=REDUCED_SHAPE
    ),
}


def measure(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train, predict and evaluate one case; its recipe, time and numbers."""
    case, device = CASES[name], choose_device(options.device)
    values = {} if options.paper else case.reduced
    recipe = task_entry(case.task).recipe_class().from_dict(values)
    run = RunSpecification(task=case.task, subject=case.subject, seed=0, recipe=recipe)
    began = time.perf_counter()
    train_run(
        run,
        folder,
        checkpoints_root=folder / ".checkpoints",
        data_root=options.data_root,
        device=device,
        label=name,
    )
    trained = time.perf_counter() - began
    if case.has_surface:
        mesh_run(folder, data_root=options.data_root, device=device)
    predict_run(folder, data_root=options.data_root, device=device)
    metrics = evaluate_run(folder)["metrics"]
    return {
        "case": name,
        "is_paper_size": options.paper,
        "recipe": recipe.to_dict(),
        "training_seconds": round(trained, 1),
        "metrics": {f"{m['split']} {m['metric']}": m["value"] for m in metrics},
        "protocol": metrics[0]["protocol"],
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--paper", action="store_true", help="the paper's sizes; for a GPU")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help=f"default: {RESULTS.name}/siren-DEVICE.json")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    rows = []
    for name in options.cases:
        with tempfile.TemporaryDirectory(prefix="nir-siren-") as folder:
            rows.append(measure(name, options, Path(folder)))
        numbers = ", ".join(f"{key} {value:.4g}" for key, value in rows[-1]["metrics"].items())
        print(f"{name}: {numbers} ({rows[-1]['training_seconds']:.0f} s)", flush=True)
    device = choose_device(options.device)
    target = options.json or RESULTS / f"siren-{device.type}.json"
    write_json(target, {"machine": describe(device), "rows": rows})


if __name__ == "__main__":
    main()
