"""Benchmark: how far the empirical NTK of one network lies from the analytic one, by depth.

    python -m benchmarks tangent_kernels [--width 4096] [--draws 8] [--linear-maps 2 3 4]
        [--points 8] [--json FILE]

Points stand evenly on the circle (the basic mapping). Three relative errors in the Frobenius norm:
*single*, of each network's kernel; *mean*, of the mean kernel over all networks; *correlations*,
of K(x, y) / sqrt(K(x, x) K(y, y)), each network's kernel freed of the scale that its weights'
norms happen to have. The first shrinks with the root of the width; a scale that all entries share
acts like a factor on the learning rate.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import RESULTS, describe
from nir.encodings import basic_features
from nir.files import write_json
from nir.kernels import ReluNetwork, empirical_ntk, kernel_correlations
from nir.networks.mlp import MLP
from nir.random import generator_for


def network_of(analytic: ReluNetwork, inputs: int, seed: int) -> MLP:
    """A network of that width and depth, started as the analytic kernel's weights are."""
    return MLP(
        inputs,
        1,
        width=analytic.width,
        hidden_layers=analytic.linear_maps - 2,
        initialisation="lecun_normal",
        generator=generator_for("tangent kernels", seed),
    )


def relative_error(kernel: Tensor, exact: Tensor) -> float:
    """Frobenius norm of the difference over that of the exact matrix."""
    return ((kernel - exact).norm() / exact.norm()).item()


def measure(analytic: ReluNetwork, *, points: int, draws: int) -> dict[str, Any]:
    """All three errors for one depth, over `draws` networks."""
    x = basic_features(1)(torch.arange(points)[:, None] / points)
    exact = analytic.ntk(x.double(), x.double())
    began = time.perf_counter()
    kernels = [
        empirical_ntk(network_of(analytic, x.shape[1], seed), x, points_at_once=4).double()
        for seed in range(draws)
    ]
    seconds = time.perf_counter() - began
    correlations = kernel_correlations(exact)
    return {
        "linear_maps": analytic.linear_maps,
        "width": analytic.width,
        "draws": draws,
        "single": _spread([relative_error(k, exact) for k in kernels]),
        "mean": relative_error(torch.stack(kernels).mean(0), exact),
        "correlations": _spread(
            [relative_error(kernel_correlations(k), correlations) for k in kernels]
        ),
        "seconds_per_network": seconds / draws,
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"least": min(values), "median": statistics.median(values), "largest": max(values)}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--linear-maps", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--json", type=Path, default=RESULTS / "tangent_kernels-cpu.json")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure every depth, print a table, write JSON."""
    options = parse()
    rows = []
    print(f"{'linear maps':>12}{'single':>10}{'mean':>10}{'correlations':>14}   (relative errors)")
    for depth in options.linear_maps:
        analytic = ReluNetwork(linear_maps=depth, width=options.width)
        row = measure(analytic, points=options.points, draws=options.draws)
        rows.append(row)
        single, correlations = row["single"]["median"], row["correlations"]["median"]
        print(f"{depth:>12}{single:>10.4f}{row['mean']:>10.4f}{correlations:>14.4f}", flush=True)
    write_json(options.json, {"machine": describe("cpu"), "rows": rows})


if __name__ == "__main__":
    main()
