"""Benchmark: poses of the 20 fern photos, against the published ones, and the time they take.

    python -m benchmarks poses [--data-root data] [--threads 2] [--json FILE]

Photos are those of `images_4`, 1008 pixels wide. Errors remain after the best similarity; the
position error is stated by both measures in use: as a share of the cameras' extent (the diagonal
of their box) and of their spread (root mean square distance from their mean).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESULTS, describe
from nir.data.colmap import Capture, estimate_poses
from nir.files import write_json
from nir.geometry.cameras import Cameras, opencv_from_llff
from nir.geometry.similarity import align_cameras, pose_errors


def compare(capture: Capture, scene: Path) -> dict[str, Any]:
    """Errors of the cameras and of the bounds."""
    poses, _, bounds = opencv_from_llff(np.load(scene / "poses_bounds.npy", allow_pickle=False))
    published = Cameras(poses, capture.cameras.intrinsics)
    errors = pose_errors(capture.cameras, published)
    scale = align_cameras(capture.cameras, published)[1].scale
    return {
        "registered": len(capture.names),
        "rotation_degrees_mean": float(errors.rotation_degrees.mean()),
        "rotation_degrees_largest": float(errors.rotation_degrees.max()),
        "relative_rotation_degrees_mean": errors.relative_rotation_degrees,
        "position_share_of_extent_mean": errors.extent_share,
        "position_share_of_spread_mean": errors.position_share,
        "near_ratio": float(capture.bounds[:, 0].min() * scale / bounds[:, 0].min()),
        "far_ratio": float(capture.bounds[:, 1].max() * scale / bounds[:, 1].max()),
        "reprojection_error_pixels": capture.reprojection_error_pixels,
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--json", type=Path, default=RESULTS / "poses-cpu.json")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    options = parse(argv)
    scene = options.data_root / "nerf_llff_data" / "fern"
    with tempfile.TemporaryDirectory(prefix="nir-poses-") as folder:
        began = time.perf_counter()
        capture = estimate_poses(scene / "images_4", Path(folder) / "fern", threads=options.threads)
        seconds = time.perf_counter() - began
    row = {"photos": 20, "threads": options.threads, "seconds": seconds}
    row |= compare(capture, scene)
    for name, value in row.items():
        print(f"{name:36} {value:.4g}", flush=True)
    write_json(options.json, {"machine": describe("cpu"), "rows": [row]})


if __name__ == "__main__":
    main()
