"""Benchmark: NeRF's training step against the plainest correct PyTorch for the same recipe.

    python -m benchmarks nerf [--device cuda] [--threads 1] [--width 256] [--rays 1024]
        [--coarse 64] [--fine 128] [--turns 5] [--compiled] [--peak-tflops 990] [--json FILE]

Both sides start from the same weights and see the same rays and samples. First both compute in
float32 and their losses are compared; then ours with products in bfloat16 (and compiled, if asked)
takes turns with the plain one. Rays a second are those of the median turn. The share of the
processor's speed counts only the networks' products, forward and backward.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.machine import describe
from nir.data.toy import generate_toy_scene
from nir.fields_radiance import RadianceField
from nir.files import write_json
from nir.random import generator_for
from nir.recipes.nerf import NerfRecipe
from nir.tasks.nerf import NerfTask, RayBatch, build


class PlainNetwork(nn.Module):
    """The network as a tutorial writes it: every sample carries its direction."""

    def __init__(self, field: RadianceField) -> None:
        super().__init__()
        network = field.network
        self.octaves = [(network.position_features - 3) // 6, 4]
        self.trunk = nn.ModuleList(_copied(layer) for layer in network.trunk)
        self.density, self.feature = _copied(network.density), _copied(network.feature)
        self.view, self.colour = _copied(network.view), _copied(network.colour)

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Colour and raw density of points [n 3]."""
        position = plain_encoding(points, self.octaves[0])
        hidden = position
        for depth, layer in enumerate(self.trunk):
            if depth == 5:
                hidden = torch.cat([position, hidden], dim=-1)
            hidden = F.relu(layer(hidden))
        joined = torch.cat([self.feature(hidden), plain_encoding(directions, 4)], dim=-1)
        colour = self.colour(F.relu(self.view(joined)))
        return torch.sigmoid(colour), self.density(hidden)[..., 0]


def _copied(linear: nn.Linear) -> nn.Linear:
    copied = nn.Linear(linear.in_features, linear.out_features, device=linear.weight.device)
    copied.load_state_dict(linear.state_dict())
    return copied


def plain_encoding(x: Tensor, octaves: int) -> Tensor:
    """x, then sin(2^j x), cos(2^j x) octave by octave."""
    parts = [x]
    for j in range(octaves):
        parts += [torch.sin(2.0**j * x), torch.cos(2.0**j * x)]
    return torch.cat(parts, dim=-1)


class PlainLoop:
    """The training step that a tutorial shows: two passes, a product of transparencies, Adam."""

    def __init__(self, task: NerfTask) -> None:
        self.task = task
        self.coarse = PlainNetwork(task.field.coarse)
        self.fine = PlainNetwork(task.field.fine)
        parameters = [*self.coarse.parameters(), *self.fine.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=task.recipe.learning_rate, eps=1e-7)

    def step(self, batch: RayBatch) -> float:
        """One update; returns the loss before it."""
        generator = generator_for(batch.seed, "samples", device=batch.colours.device)
        near, far = self.task.settings.near, self.task.settings.far
        rays, count = len(batch.colours), self.task.settings.coarse_samples
        along = torch.linspace(0, 1, count, device=batch.colours.device)
        depths = (near * (1 - along) + far * along).expand(rays, count)
        middle = 0.5 * (depths[:, 1:] + depths[:, :-1])
        lower = torch.cat([depths[:, :1], middle], dim=-1)
        upper = torch.cat([middle, depths[:, -1:]], dim=-1)
        random = torch.rand(depths.shape, generator=generator, device=depths.device)
        depths = lower + (upper - lower) * random
        colour, weights = self._render(self.coarse, batch, depths)
        loss = torch.mean((colour - batch.colours) ** 2)
        added = plain_importance(
            depths, weights.detach(), self.task.settings.fine_samples, generator
        )
        depths = torch.sort(torch.cat([depths, added], dim=-1), dim=-1)[0]
        colour, _ = self._render(self.fine, batch, depths)
        loss = loss + torch.mean((colour - batch.colours) ** 2)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def _render(self, network: nn.Module, batch: RayBatch, depths: Tensor) -> tuple[Tensor, Tensor]:
        rays = batch.rays
        points = rays.origins[:, None] + depths[..., None] * rays.directions[:, None]
        directions = rays.view_directions[:, None].expand(points.shape)
        rgb, density = network(points.reshape(-1, 3), directions.reshape(-1, 3))
        rgb, density = rgb.reshape(points.shape), density.reshape(depths.shape)
        steps = depths[:, 1:] - depths[:, :-1]
        steps = torch.cat([steps, torch.full_like(steps[:, :1], 1e10)], dim=-1)
        alpha = 1 - torch.exp(-F.relu(density) * steps * rays.directions.norm(dim=-1)[:, None])
        ones = torch.ones_like(alpha[:, :1])
        passed = torch.cumprod(torch.cat([ones, 1 - alpha + 1e-10], dim=-1), dim=-1)[:, :-1]
        weights = alpha * passed
        white = 1 - weights.sum(dim=-1, keepdim=True)
        return (weights[..., None] * rgb).sum(dim=1) + white, weights


def plain_importance(
    depths: Tensor, weights: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Inverse transform sampling, as in nerf-pytorch's sample_pdf."""
    edges, weights = 0.5 * (depths[:, 1:] + depths[:, :-1]), weights[:, 1:-1] + 1e-5
    cumulative = torch.cumsum(weights / weights.sum(dim=-1, keepdim=True), dim=-1)
    cumulative = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative], dim=-1)
    u = torch.rand((len(depths), count), generator=generator, device=depths.device)
    index = torch.searchsorted(cumulative, u, right=True)
    below, above = (index - 1).clamp(min=0), index.clamp(max=cumulative.shape[-1] - 1)
    low, high = cumulative.gather(1, below), cumulative.gather(1, above)
    mass = torch.where(high - low < 1e-5, torch.ones_like(low), high - low)
    left, right = edges.gather(1, below), edges.gather(1, above)
    return left + (u - low) / mass * (right - left)


class OurLoop:
    """The project's step: the task's losses, in the recipe's precision, and fused Adam."""

    def __init__(self, task: NerfTask) -> None:
        self.task = task
        groups = task.parameter_groups(task.recipe.learning_rate)
        self.optimiser = torch.optim.Adam(groups, fused=True)

    def step(self, batch: RayBatch) -> float:
        """One update; returns the loss before it."""
        is_rounded = self.task.recipe.precision == "bfloat16"
        device = batch.colours.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=is_rounded):
            terms = self.task.losses(batch)
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.item()


def task_for(recipe: NerfRecipe, scene: Path, device: torch.device) -> NerfTask:
    """The task with the same start on every call."""
    return build(recipe, scene, device=device, generator=generator_for(0, "start"))


def largest_difference(recipe: NerfRecipe, scene: Path, device: torch.device, steps: int) -> float:
    """Of the losses of both loops in float32, relative, over some steps."""
    task = task_for(dataclasses.replace(recipe, precision="float32"), scene, device)
    plain, ours = PlainLoop(task), OurLoop(task)
    differences = []
    for step in range(steps):
        batch = task.batch(step, generator_for(0, "step", step, device=device))
        expected = plain.step(batch)
        differences.append(abs(ours.step(batch) - expected) / expected)
    return max(differences)


def timed(loop: PlainLoop | OurLoop, batch: RayBatch) -> float:
    """Seconds of one step, the device's queue included (`step` reads the loss)."""
    began = time.perf_counter()
    loop.step(batch)
    return time.perf_counter() - began


def flops_per_step(recipe: NerfRecipe, task: NerfTask) -> float:
    """Products of all samples: 2 a weight forward, 4 backward."""
    weights = sum(p.numel() for p in task.field.coarse.parameters() if p.ndim == 2)
    return 6.0 * weights * recipe.rays * recipe.evaluations_per_ray


def measure(options: argparse.Namespace) -> dict:
    """Compare the losses, then take turns."""
    device = torch.device(options.device)
    recipe = NerfRecipe(
        width=options.width,
        rays=options.rays,
        coarse_samples=options.coarse,
        fine_samples=options.fine,
        precision="bfloat16",
        compiled=options.compiled,
    )
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "toy"
        generate_toy_scene(scene, "toy", size=32, train_views=4, test_views=1, samples=1)
        difference = largest_difference(recipe, scene, device, steps=3)
        task = task_for(recipe, scene, device)
    loops = {"plain": PlainLoop(task), "ours": OurLoop(task)}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(options.turns + 2):
        batch = task.batch(turn, generator_for(0, "step", turn, device=device))
        for name, loop in loops.items():
            seconds[name].append(timed(loop, batch))
    median = {name: statistics.median(values[2:]) for name, values in seconds.items()}
    speed = flops_per_step(recipe, task) / median["ours"]
    return {
        "machine": describe(device),
        "recipe": recipe.to_dict(),
        "largest_relative_difference_of_losses_float32": difference,
        "rays_per_second": {name: recipe.rays / value for name, value in median.items()},
        "times_faster": median["plain"] / median["ours"],
        "tflops_of_products": speed / 1e12,
        "share_of_peak": speed / 1e12 / options.peak_tflops if options.peak_tflops else None,
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
    print(f"{result['tflops_of_products']:.3f} TFLOP/s in products")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
