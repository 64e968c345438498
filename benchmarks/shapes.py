"""Benchmark: what comparing and preparing one shape costs; thousands of them are to be.

    python -m benchmarks shapes [--threads 2] [--json FILE]

One pair of surfaces, a carved ball and itself moved by a hundredth: IoU at 100,000 points, Chamfer
distance and normal consistency of 100,000 points each, DeepSDF's Chamfer distance and the earth
mover's of 500. Medians of some repetitions; `seconds_of_a_pair` is IoU and Chamfer-L1 together.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
import trimesh

from benchmarks.machine import RESULTS, describe
from nir.data.generated_shapes import write_carved_ball
from nir.data.shape_families import member
from nir.data.shape_preparation import SMALL, prepared
from nir.files import write_json
from nir.metrics import METRICS
from nir.metrics.shape import forget_references

TIMED = (
    "iou_volume",
    "chamfer_l1",
    "normal_consistency",
    "f_score",
    "chamfer_l2_sum",
    "mesh_accuracy",
    "mesh_completion",
    "earth_movers",
)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS / "shapes-cpu.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pair = _pair()
    seconds = {
        name: _median(lambda name=name: METRICS[name](*pair), options.repetitions) for name in TIMED
    }
    shape = member("chairs", 1).shape()
    preparing = _median(lambda: prepared(shape, SMALL, seed=0), options.repetitions)
    result = {
        "machine": describe("cpu"),
        "faces": len(pair[0].faces),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "seconds_of_a_pair": round(seconds["iou_volume"] + seconds["chamfer_l1"], 4),
        "seconds_of_preparing_a_small_chair": round(preparing, 4),
    }
    for name, value in result["seconds"].items():
        print(f"{name:20} {value:8.3f} s")
    print(f"{'IoU and Chamfer':20} {result['seconds_of_a_pair']:8.3f} s")
    print(f"{'preparing a chair':20} {preparing:8.3f} s")
    write_json(options.json, result)


def _pair() -> tuple[trimesh.Trimesh, trimesh.Trimesh]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ball.ply"
        write_carved_ball(path)
        reference = trimesh.load(path, process=False)
    moved = trimesh.Trimesh(reference.vertices + 0.01, reference.faces, process=False)
    return moved, reference


def _median(work, repetitions: int) -> float:
    times = []
    for _ in range(repetitions):
        forget_references()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
