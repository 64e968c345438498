"""Benchmark: rendering a large view with and without skipping what is empty.

    python -m benchmarks rendering RUN [--data-root DATA] [--side 800] [--threads 1] [--json FILE]

RUN is a trained run of NeRF (`nir train`). Its first test view is rendered `side` pixels wide and
high, every sample evaluated, then with the run's occupancy grids, whose making is timed apart. The
memory is the greatest resident size of this process while it renders every sample, above what it
has with the model loaded and one small view rendered.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe
from nir.files import read_json, write_json
from nir.geometry.cameras import Cameras, Intrinsics
from nir.operators.volume import RenderedImage
from nir.runs import choose_device, load_run
from nir.tasks.nerf import NerfTask
from nir.tasks.nerf_predictions import Renderer


def camera_of(task: NerfTask, side: int) -> Cameras:
    """The first test view's place and angle, on `side` x `side` pixels."""
    view = int(task.scene.splits["test"][0])
    seen = task.scene.cameras.intrinsics
    focal = seen.focal_x * side / seen.width
    return Cameras(
        task.scene.cameras.camera_to_world[view : view + 1],
        Intrinsics.centred(side, side, focal),
    )


def timed_view(renderer: Renderer, cameras: Cameras) -> tuple[RenderedImage, float]:
    """A view and the seconds it took."""
    began = time.perf_counter()
    rendered = renderer.render(cameras, 0)
    return rendered, time.perf_counter() - began


def resident_bytes(which: str) -> int:
    """The resident size of this process: now (VmRSS), or the greatest (VmHWM) since forgotten."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith(which))
    return int(line.split()[1]) * 1024


def forget_greatest_size() -> None:
    """Let the greatest resident size begin anew (man 5 proc, clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    """Of 8-bit pictures with each other."""
    rounded = [np.rint(255 * picture.clamp(0, 1).float().numpy()) / 255 for picture in (one, other)]
    return float(-10 * np.log10(max(np.mean((rounded[0] - rounded[1]) ** 2), 1e-12)))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Render twice and compare."""
    task = load_run(options.run, data_root=options.data_root, device=choose_device(options.device))
    renderer = Renderer(task)
    renderer.occupancy = None
    timed_view(renderer, camera_of(task, 32))
    forget_greatest_size()
    before = resident_bytes("VmRSS")
    cameras = camera_of(task, options.side)
    every, seconds_every = timed_view(renderer, cameras)
    memory = resident_bytes("VmHWM") - before
    began = time.perf_counter()
    renderer.occupancy = renderer.occupied_cells()
    grid_seconds = time.perf_counter() - began
    skipped, seconds_skipping = timed_view(renderer, cameras)
    return {
        "machine": describe(renderer.device),
        "run": read_json(options.run / "recipe.json"),
        "side": options.side,
        "seconds_every_sample": seconds_every,
        "seconds_skipping": seconds_skipping,
        "seconds_of_grid": grid_seconds,
        "times_faster": seconds_every / seconds_skipping,
        "psnr_of_one_against_the_other": psnr(every.colour, skipped.colour),
        "largest_loss_of_test_psnr": loss_of_quality(task, renderer),
        "occupied_share_coarse": renderer.occupancy.coarse.occupied_share,
        "occupied_share_fine": renderer.occupancy.fine.occupied_share,
        "bytes_over_model": memory,
    }


def loss_of_quality(task: NerfTask, renderer: Renderer) -> float:
    """The most that skipping takes from a test view's PSNR, in decibels."""
    grids = renderer.occupancy
    losses = []
    for view in task.scene.splits["test"]:
        truth = torch.from_numpy(task.scene.images[view])
        quality = []
        for renderer.occupancy in (None, grids):
            quality.append(psnr(renderer.render(task.scene.cameras, int(view)).colour, truth))
        losses.append(quality[0] - quality[1])
    return max(losses)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="rendering with and without empty space")
    parser.add_argument("run", type=Path)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--side", type=int, default=800)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, print, and keep the result if asked."""
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    result = measure(options)
    print(f"every sample {result['seconds_every_sample']:.1f} s")
    print(f"skipping     {result['seconds_skipping']:.1f} s, {result['times_faster']:.2f} x faster")
    print(f"test PSNR falls by {result['largest_loss_of_test_psnr']:.4f} dB at most")
    print(f"{result['bytes_over_model'] / 2**20:.0f} MiB over the model")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
