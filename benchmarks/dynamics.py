"""Benchmark: training curves that the infinitely wide kernel predicts against trained networks.

    python -m benchmarks dynamics [--steps 10000] [--width 1024] [--variants none basic p_1 ...]
        [--json FILE]

Fourier Features' figure 3 at the paper's size: four linear maps, 1024 wide, gradient descent with
a learning rate of 1e-5 on 32 points; 10,000 of its 50,001 steps. The networks are trained, asked
and judged exactly as the workflow does it. *of_start*: the largest distance between both curves
of the mean squared error, in units of the first error. *relative*: the largest distance in units
of the predicted error at that step, which is stricter once the error has fallen.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.machine import RESULTS, describe
from nir.data.fetch import fetch
from nir.files import read_json, write_json
from nir.metrics.curves import deviation_of_start
from nir.recipes.kernel import KernelRecipe
from nir.runs import predict_run, train_run
from nir.specification import RunSpecification

SUBJECT = "band_limited"
VARIANTS = {
    "none": {"mapping": "none"},
    "basic": {"mapping": "basic"},
    "p_1": {"power": 1.0},
    "p_05": {"power": 0.5},
    "p_0": {"power": 0.0},
}
COLUMNS = ("mse_trained", "mse_tested")


def measure(recipe: KernelRecipe, folder: Path) -> dict[str, Any]:
    """Train one network, predict its curves, and compare them."""
    device = torch.device("cpu")
    fetch(SUBJECT, data_root=folder / "data")
    specification = RunSpecification(task="fourier_kernel", subject=SUBJECT, seed=0, recipe=recipe)
    train_run(
        specification,
        folder / "run",
        checkpoints_root=folder / "checkpoints",
        data_root=folder / "data",
        device=device,
        label="dynamics",
    )
    predict_run(folder / "run", data_root=folder / "data", device=device)
    observed = pd.read_csv(folder / "run" / "log.csv")
    predicted = pd.read_csv(folder / "run" / "predictions" / "theory-infinite.csv")
    return {column: compare(observed, predicted[["step", column]]) for column in COLUMNS}


def compare(observed: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, float]:
    """Both distances between two curves, and how far the error fell."""
    column = predicted.columns[-1]
    seen = observed.set_index("step").loc[predicted["step"], column].to_numpy(float)
    expected = predicted[column].to_numpy(float)
    return {
        "of_start": deviation_of_start(observed, predicted),
        "relative": float(np.max(np.abs(seen - expected) / expected)),
        "last_of_first": float(seen[-1] / seen[0]),
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--learning-rate", type=float, default=math.nan)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--json", type=Path, default=RESULTS / "dynamics-cpu.json")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all variants."""
    rate = options.learning_rate
    rate = 1e-5 * 1024 / options.width if math.isnan(rate) else rate
    rows = {}
    for name in options.variants:
        recipe = KernelRecipe(
            **VARIANTS[name],
            steps=options.steps,
            width=options.width,
            learning_rate=rate,
            log_every=max(1, options.steps // 200),
        )
        with tempfile.TemporaryDirectory() as folder:
            rows[name] = measure(recipe, Path(folder))
        of_start = {column: round(row["of_start"], 4) for column, row in rows[name].items()}
        print(f"{name:8}{of_start}", flush=True)
    return {"steps": options.steps, "width": options.width, "learning_rate": rate, "curves": rows}


def main() -> None:
    """Measure, and write what was found; variants measured before at the same sizes are kept."""
    options = parse()
    record = {"machine": describe("cpu"), **run(options)}
    if options.json.is_file():
        before = read_json(options.json)
        if all(before[key] == record[key] for key in ("steps", "width", "learning_rate")):
            record["curves"] = before["curves"] | record["curves"]
    write_json(options.json, record)


if __name__ == "__main__":
    main()
