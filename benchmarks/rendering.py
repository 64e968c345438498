"""Benchmark: rendering a large view, every sample evaluated, and in the ways that skip some.

    python -m benchmarks rendering RUN [--data-root DATA] [--side 800] [--threads 1] [--json FILE]

RUN is a trained run of NeRF (`nir train`). Its first test view is rendered `side` pixels wide and
high, every sample evaluated, then with the run's occupancy grids, whose making is timed apart, then
in the one pass that the seen field's grid guides. Evaluations of the fields are counted, too. The
memory is the greatest resident size of this process while it renders every sample, above what it
has with the model loaded and one small view rendered.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

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


@dataclass
class Way:
    """A way to render views of a task, which counts the points that its fields are asked for."""

    task: NerfTask
    render: Callable[[Cameras, int], RenderedImage]
    evaluations: int = 0

    def timed(self, cameras: Cameras) -> tuple[RenderedImage, float]:
        """A view, the seconds it took; and `evaluations` anew."""
        self.evaluations = 0
        pair = self.task.field
        hooks = [
            field.register_forward_hook(self._count)
            for field in (pair.coarse, pair.fine)
            if field is not None
        ]
        began = time.perf_counter()
        rendered = self.render(cameras, 0)
        seconds = time.perf_counter() - began
        for hook in hooks:
            hook.remove()
        return rendered, seconds

    def _count(self, field: nn.Module, inputs: tuple[Tensor, ...], outputs: Any) -> None:
        self.evaluations += inputs[0].shape[:-1].numel()


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
    """Render in every way and compare."""
    task = load_run(options.run, data_root=options.data_root, device=choose_device(options.device))
    renderer, skipping = Renderer(task), Renderer(task)
    renderer.occupancy = None
    every = Way(task, renderer.render)
    every.timed(camera_of(task, 32))
    forget_greatest_size()
    before = resident_bytes("VmRSS")
    cameras = camera_of(task, options.side)
    whole, seconds = every.timed(cameras)
    memory = max(0, resident_bytes("VmHWM") - before)  # the kernel counts in batches
    began = time.perf_counter()
    skipping.occupancy = skipping.occupied_cells()
    grid_seconds = time.perf_counter() - began
    views = task.scene.splits["test"][:: options.every_test_view]
    quality = test_qualities(task, every, views)
    result = {
        "machine": describe(renderer.device),
        "run": read_json(options.run / "recipe.json"),
        "side": options.side,
        "seconds_every_sample": seconds,
        "evaluations_every_sample": every.evaluations,
        "seconds_of_grids": grid_seconds,
        "test_views": len(views),
        "test_psnr_every_sample": float(np.mean(quality)),
        "occupied_share_coarse": skipping.occupancy.coarse.occupied_share,
        "occupied_share_fine": skipping.occupancy.fine.occupied_share,
        "bytes_over_model": memory,
    }
    ways = {"skipping": skipping.render, "guided": skipping.render_guided}
    for name, render in ways.items():
        way = Way(task, render)
        rendered, shorter = way.timed(cameras)
        losses = quality - test_qualities(task, way, views)
        result[name] = {
            "seconds": shorter,
            "evaluations": way.evaluations,
            "times_faster": seconds / shorter,
            "times_fewer_evaluations": every.evaluations / way.evaluations,
            "psnr_against_every_sample": psnr(whole.colour, rendered.colour),
            "largest_loss_of_test_psnr": float(losses.max()),
            "mean_loss_of_test_psnr": float(losses.mean()),
        }
    return result


def test_qualities(task: NerfTask, way: Way, views: np.ndarray) -> np.ndarray:
    """PSNR of test views, at the run's own size."""
    photographs = (torch.from_numpy(task.scene.images[view]) for view in views)
    rendered = (way.render(task.scene.cameras, int(view)).colour for view in views)
    return np.array(list(map(psnr, rendered, photographs)))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="rendering with and without empty space")
    parser.add_argument("run", type=Path)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--side", type=int, default=800)
    parser.add_argument("--every-test-view", type=int, default=1, metavar="N", help="or each N-th")
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
    for way in ("skipping", "guided"):
        found = result[way]
        print(
            f"{way} {found['seconds']:.1f} s, {found['times_faster']:.2f} x faster, "
            f"{found['times_fewer_evaluations']:.2f} x fewer evaluations; test PSNR falls by "
            f"{found['largest_loss_of_test_psnr']:.4f} dB at most"
        )
    print(f"{result['bytes_over_model'] / 2**20:.0f} MiB over the model")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
