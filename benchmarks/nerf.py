"""Benchmark: NeRF's training step against the plainest correct PyTorch for the same recipe.

    python -m benchmarks nerf [--device cuda] [--threads 1] [--width 256] [--rays 1024]
        [--coarse 64] [--fine 128] [--turns 5] [--compiled] [--graphed] [--steps-compared 0]
        [--peak-tflops 990] [--json FILE]

Both sides start from the same weights and see the same rays and samples. First both compute in
float32 and their losses are compared; then ours with products in bfloat16 takes turns with the
plain one: compiled, or (on a GPU) the whole step recorded once and replayed as a CUDA graph, if
asked. Rays a second are those of the median turn. The share of the processor's speed counts only
the networks' products, forward and backward. `--steps-compared` trains both so long on the same
batches and compares the quality of the last tenth, in decibels.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.machine import describe
from benchmarks.plain_nerf import PlainLoop
from nir.data.toy import generate_toy_scene
from nir.errors import InputError
from nir.files import write_json
from nir.geometry.rays import Rays
from nir.operators.volume import render_rays
from nir.precision import products_in
from nir.random import generator_for
from nir.recipes.nerf import NerfRecipe
from nir.tasks.nerf import NerfTask, build
from nir.tasks.nerf_rays import RayBatch


class OurLoop:
    """The project's step: the task's losses, in the recipe's precision, and fused Adam."""

    def __init__(self, task: NerfTask, *, capturable: bool = False) -> None:
        self.task = task
        groups = task.parameter_groups(task.recipe.learning_rate)
        self.optimiser = torch.optim.Adam(groups, fused=True, capturable=capturable)

    def step(self, batch: RayBatch) -> float:
        """One update; returns the loss before it."""
        return self._update(batch).item()

    def _update(self, batch: RayBatch) -> Tensor:
        # Weights that were cast once must not outlive a recording.
        with products_in(self.task.recipe.precision, batch.colours.device, is_cached=False):
            loss = self._loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _loss(self, batch: RayBatch) -> Tensor:
        return torch.stack(list(self.task.losses(batch).values())).sum()


class GraphedLoop(OurLoop):
    """Our step recorded once as a CUDA graph and replayed: no launch waits for Python.

    The samples' randomness comes from one generator that the graph advances, so batches are the
    same as elsewhere but samples are not.
    """

    def __init__(self, task: NerfTask, batch: RayBatch) -> None:
        super().__init__(task, capturable=True)
        device = batch.colours.device
        rays = Rays(*(part.clone() for part in _parts(batch.rays)))
        self.seen = RayBatch(rays, batch.colours.clone(), batch.seed)
        self.generator = torch.Generator(device).manual_seed(batch.seed)
        waiting = torch.cuda.Stream(device)
        waiting.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(waiting):
            for _ in range(3):  # lazy allocations must be over before the recording
                self._update(self.seen)
        torch.cuda.current_stream(device).wait_stream(waiting)
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.generator)
        with torch.cuda.graph(self.graph):
            self.loss = self._update(self.seen)

    def step(self, batch: RayBatch) -> float:
        """One update; returns the loss before it."""
        for held, new in zip(_parts(self.seen.rays), _parts(batch.rays), strict=True):
            held.copy_(new)
        self.seen.colours.copy_(batch.colours)
        self.graph.replay()
        return self.loss.item()

    def _loss(self, batch: RayBatch) -> Tensor:
        field, settings = self.task.field, self.task.settings
        rendering = render_rays(
            field.coarse, field.fine, batch.rays, settings, generator=self.generator
        )
        coarse = torch.mean((rendering.coarse.colour - batch.colours) ** 2)
        return coarse + torch.mean((rendering.fine.colour - batch.colours) ** 2)


def _parts(rays: Rays) -> tuple[Tensor, Tensor, Tensor]:
    return rays.origins, rays.directions, rays.view_directions


def task_for(recipe: NerfRecipe, scene: Path, device: torch.device) -> NerfTask:
    """The task with the same start on every call."""
    return build(recipe, scene, device=device, generator=generator_for(0, "start"))


def largest_difference(recipe: NerfRecipe, scene: Path, device: torch.device, steps: int) -> float:
    """Of the losses of both loops in float32, relative, over some steps."""
    task = task_for(dataclasses.replace(recipe, precision="float32"), scene, device)
    plain, ours = PlainLoop(task), OurLoop(task)
    differences = []
    for step in range(steps):
        batch = batch_of(task, step)
        expected = plain.step(batch)
        differences.append(abs(ours.step(batch) - expected) / expected)
    return max(differences)


def timed(loop: PlainLoop | OurLoop, batch: RayBatch) -> float:
    """Seconds of one step, the device's queue included (`step` reads the loss)."""
    began = time.perf_counter()
    loop.step(batch)
    return time.perf_counter() - began


def batch_of(task: NerfTask, step: int) -> RayBatch:
    """The observations of a step, the same for all loops."""
    device = task.field.restarts.device
    return task.batch(step, generator_for(0, "step", step, device=device))


def our_loop(task: NerfTask, graphed: bool) -> OurLoop:
    """The project's loop, recorded if asked."""
    return GraphedLoop(task, batch_of(task, 0)) if graphed else OurLoop(task)


def decibels_gained(
    recipe: NerfRecipe, scene: Path, device: torch.device, steps: int, graphed: bool
) -> float:
    """Ours above the plain one in float32, after equal steps on equal batches."""
    loops = [PlainLoop(task_for(recipe, scene, device))]
    loops.append(our_loop(task_for(recipe, scene, device), graphed))
    quality = []
    for loop in loops:
        losses = [loop.step(batch_of(loop.task, step)) for step in range(steps)]
        last = losses[-max(1, steps // 10) :]
        quality.append(-10 * math.log10(sum(last) / len(last)))
    return quality[1] - quality[0]


def flops_per_step(recipe: NerfRecipe, task: NerfTask) -> float:
    """Products of all samples: 2 a weight forward, 4 backward."""
    weights = sum(p.numel() for p in task.field.coarse.parameters() if p.ndim == 2)
    return 6.0 * weights * recipe.rays * recipe.evaluations_per_ray


PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L40S": 362.0, "4090": 165.0}
"""Dense bfloat16 products, from the makers' sheets (SXM where there are several)."""


def peak_of(device: torch.device, given: float) -> float | None:
    """The device's peak in TFLOP/s: what was given, or what its name says."""
    if given or device.type != "cuda":
        return given or None
    name = torch.cuda.get_device_name(device)
    return next((peak for key, peak in PEAK_TFLOPS.items() if key in name), None)


def measure(options: argparse.Namespace) -> dict:
    """Compare the losses, take turns, and train both if asked."""
    device = torch.device(options.device)
    if options.graphed and device.type != "cuda":
        raise InputError("--graphed: CUDA graphs need a GPU; leave it out, or give --device cuda")
    recipe = NerfRecipe(
        width=options.width,
        rays=options.rays,
        coarse_samples=options.coarse,
        fine_samples=options.fine,
        precision="bfloat16",
        compiled=options.compiled,
    )
    result = {"machine": describe(device), "recipe": recipe.to_dict(), "graphed": options.graphed}
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "toy"
        generate_toy_scene(scene, "toy", size=32, train_views=4, test_views=1, samples=1)
        difference = largest_difference(recipe, scene, device, steps=3)
        result["largest_relative_difference_of_losses_float32"] = difference
        task = task_for(recipe, scene, device)
        result |= take_turns(task, options.turns, options.graphed)
        if options.steps_compared:
            result["steps_compared"] = options.steps_compared
            result["decibels_gained"] = decibels_gained(
                recipe, scene, device, options.steps_compared, options.graphed
            )
    speed = result["tflops_of_products"]
    peak = peak_of(device, options.peak_tflops)
    return result | {"peak_tflops": peak, "share_of_peak": speed / peak if peak else None}


def take_turns(task: NerfTask, turns: int, graphed: bool) -> dict:
    """Time both loops by turns; the first two turns warm up."""
    loops = {"plain": PlainLoop(task), "ours": our_loop(task, graphed)}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(turns + 2):
        batch = batch_of(task, turn)
        for name, loop in loops.items():
            seconds[name].append(timed(loop, batch))
    median = {name: statistics.median(values[2:]) for name, values in seconds.items()}
    return {
        "rays_per_second": {name: task.recipe.rays / value for name, value in median.items()},
        "times_faster": median["plain"] / median["ours"],
        "tflops_of_products": flops_per_step(task.recipe, task) / median["ours"] / 1e12,
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="NeRF's step against the plainest one")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rays", type=int, default=1024)
    parser.add_argument("--coarse", type=int, default=64)
    parser.add_argument("--fine", type=int, default=128)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--compiled", action="store_true", help="torch.compile our fields")
    parser.add_argument("--graphed", action="store_true", help="replay our step as a CUDA graph")
    parser.add_argument("--steps-compared", type=int, default=0, help="train both, compare quality")
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="the device's bfloat16 peak")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, print, and keep the result if asked."""
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    result = measure(options)
    for name, value in result["rays_per_second"].items():
        print(f"{name:6} {value:12.0f} rays/s")
    difference = result["largest_relative_difference_of_losses_float32"]
    print(
        f"{result['times_faster']:.2f} times faster; losses in float32 differ by {difference:.1e}"
    )
    share = result["share_of_peak"]
    of_peak = "" if share is None else f", {share:.1%} of the peak"
    print(f"{result['tflops_of_products']:.3f} TFLOP/s in products{of_peak}")
    if "decibels_gained" in result:
        print(f"{result['decibels_gained']:+.3f} dB after {result['steps_compared']} steps")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
