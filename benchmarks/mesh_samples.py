"""Benchmark: 500,000 samples of a scanned mesh, signed distances and occupancies.

    python -m benchmarks mesh_samples [--data-root data] [--subject bunny_obj] [--count 500000]
                                      [--json FILE]

The bunny has holes: its sign is that of the generalised winding number. Reading, repairing and
normalising are timed, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESULTS, describe
from nir.data.fetch import resolve_subject
from nir.data.shape_sampling import distance_samples, occupancy_samples
from nir.data.shapes import normalised, read_shape
from nir.files import write_json


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """What an action gives, and its seconds."""
    began = time.perf_counter()
    return action(), time.perf_counter() - began


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--subject", default="bunny_obj")
    parser.add_argument("--count", type=int, default=500_000)
    parser.add_argument("--json", type=Path, default=RESULTS / "mesh-samples-cpu.json")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    options = parse(argv)
    path = resolve_subject(options.subject, options.data_root)
    shape, reading = timed(lambda: read_shape(path))
    row: dict[str, Any] = {"subject": options.subject, "faces": len(shape.faces)}
    row |= {"count": options.count, "reading_seconds": reading}
    in_sphere, _ = normalised(shape, "unit_sphere")
    in_cube, _ = normalised(shape, "unit_cube")
    distances, seconds = timed(
        lambda: distance_samples(in_sphere, options.count, np.random.default_rng(0))
    )
    row |= {"distance_seconds": seconds, "inside_share": float((distances.distances < 0).mean())}
    occupied, seconds = timed(
        lambda: occupancy_samples(in_cube, options.count, np.random.default_rng(0))
    )
    row |= {"occupancy_seconds": seconds, "occupied_share": float(occupied.inside.mean())}
    for name, value in row.items():
        print(f"{name:20} {value}", flush=True)
    write_json(options.json, {"machine": describe("cpu"), "rows": [row]})


if __name__ == "__main__":
    main()
