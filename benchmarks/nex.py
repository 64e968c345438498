"""Benchmark: NeX's training step against the plainest correct PyTorch for the same recipe.

    python -m benchmarks nex [--device cuda] [--threads 1] [--size quick paper] [--turns 5]
        [--json FILE]

Both sides start from the same weights and see the same batches. First their losses are compared
over some steps; then ours, in float32 and (where the device is made for it) with the main network's
products in bfloat16, takes turns with the plain one; times are of the median turn. A turn is two
steps, of which the second counts: ours keeps the memory that the first has freed, as trainings do.
`quick` is the size of config.yaml's quick scale; `paper` has the paper's network, its 192 planes in
16 groups, and fewer rays and smaller pictures, which a CPU can hold
(on a GPU: the paper's 8000 rays; the peak of its memory is reported).
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe, free_as_usual
from benchmarks.plain_nex import PlainLoop
from nir.data.toy import generate_toy_scene
from nir.files import write_json
from nir.memory import keep_freed_memory
from nir.precision import multiplies_bfloat16, products_in
from nir.random import generator_for
from nir.recipes.nex import NexRecipe
from nir.tasks.nex import NexTask, TripleBatch, build

COMPARED_STEPS = 5


def recipes(device: torch.device) -> dict[str, NexRecipe]:
    """What is timed, by name."""
    on_gpu = device.type == "cuda"
    quick = NexRecipe(
        shrink=1,
        planes=32,
        planes_per_group=4,
        margin=12,
        width=48,
        hidden_layers=2,
        position_octaves=6,
        plane_octaves=4,
        rays=900,
        rays_from_one_view=False,
        transparency=3.0,
    )
    paper = NexRecipe(shrink=1, margin=22, rays=8000 if on_gpu else 30)
    return {"quick": quick, "paper": paper}


class OurLoop:
    """The project's step: the task's losses, in the recipe's precision, and fused Adam."""

    def __init__(self, task: NexTask) -> None:
        self.task = task
        groups = task.parameter_groups(task.recipe.learning_rate)
        self.optimiser = torch.optim.Adam(groups, fused=True)

    def step(self, batch: TripleBatch) -> float:
        """One update; returns the loss before it."""
        with products_in(self.task.recipe.precision, self.task.field.device):
            loss = torch.stack(list(self.task.losses(batch).values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.item()


def task_for(recipe: NexRecipe, scene: Path, device: torch.device) -> NexTask:
    """The task with the same start on every call."""
    return build(recipe, scene, device=device, generator=generator_for(0, "start"))


def batch_of(task: NexTask, step: int) -> TripleBatch:
    """The observations of a step, the same for all loops."""
    return task.batch(step, generator_for(0, "step", step, device=task.field.device))


def largest_difference(recipe: NexRecipe, scene: Path, device: torch.device) -> float:
    """Of both loops' losses in float32, relative, over some steps."""
    task = task_for(recipe, scene, device)
    plain, ours = PlainLoop(task), OurLoop(task)
    differences = []
    for step in range(COMPARED_STEPS):
        batch = batch_of(task, step)
        expected = plain.step(batch)
        differences.append(abs(ours.step(batch) - expected) / expected)
    return max(differences)


def measure(recipe: NexRecipe, scene: Path, device: torch.device, turns: int) -> dict[str, Any]:
    """Seconds a step of every loop, taking turns, and how they compare."""
    rounded = dataclasses.replace(recipe, precision="bfloat16")
    task = task_for(recipe, scene, device)
    loops = {
        "plain": PlainLoop(task),
        "ours_float32": OurLoop(task),
    }
    if multiplies_bfloat16(device):
        loops["ours_bfloat16"] = OurLoop(task_for(rounded, scene, device))
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(turns + 1):
        batch = batch_of(task, turn)
        for name, loop in loops.items():
            free_as_usual() if name == "plain" else keep_freed_memory()
            loop.step(batch)
            began = time.perf_counter()
            loop.step(batch)  # waits for the device, as the loss is read
            if turn:  # the first is for warming up
                seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "rays": 3 * recipe.anchors,
        "planes": recipe.planes,
        "width": recipe.width,
        "largest_relative_difference_of_losses": largest_difference(recipe, scene, device),
        "seconds_a_step": medians,
        **{
            name.replace("ours", "times_as_fast"): medians["plain"] / median
            for name, median in medians.items()
            if name != "plain"
        },
        "peak_gpu_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else 0,
    }


def main() -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", nargs="+", default=["quick", "paper"], help="quick, paper")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "room"
        generate_toy_scene(
            scene, "toy_forward", size=112, train_views=7, test_views=1, samples=1, factors=(1,)
        )
        results = {
            size: measure(recipes(device)[size], scene, device, options.turns)
            for size in options.size
        }
    for size, result in results.items():
        print(
            f"{size}: {result['times_as_fast_float32']:.2f} x the plain step in float32, "
            f"{result.get('times_as_fast_bfloat16', math.nan):.2f} x in bfloat16 "
            f"({result['seconds_a_step']['plain'] * 1e3:.1f} ms plain); losses differ by "
            f"{result['largest_relative_difference_of_losses']:.1e}"
        )
    if options.json:
        write_json(options.json, {"machine": describe(device), "sizes": results})


if __name__ == "__main__":
    main()
