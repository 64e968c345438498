"""Benchmark: many small networks as one batched ensemble against one network after another.

    python -m benchmarks ensembles [--paper] [--device cuda] [--turns 3] [--json FILE]
        [--members 64] [--width 32] [--samples 64] [--steps 50] [--alone 8] [--group 64]

Both sides train the same networks (Fourier Features, Experiments/1d_scatter_plots: 16 random
frequencies, four linear maps, Adam, 1/2 sum of squares) on the same signals, in one run, in
turns; what counts is the ratio. The ensemble is the field of a task in the training loop, `group`
members at a time. "One after another" are ordinary `nn.Sequential`s with an optimiser each, timed
on `alone` of them and counted up, since nobody waits for thousands.

The paper's size is 3 alphas x 4 signals x 4 families x 9 scales, here with 10 draws of each set
of frequencies: 4320 networks.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from benchmarks.machine import RESULTS, describe
from nir.checkpoints import Checkpoints
from nir.data.signals import (
    PAPER_FAMILIES,
    draw_frequencies,
    paper_scales,
    power_law_signals,
    rescale,
)
from nir.encodings import FourierFeatures
from nir.ensembles import Ensemble, member_losses
from nir.files import write_json
from nir.progress import Progress
from nir.recipes.base import Recipe
from nir.tasks.contract import Task
from nir.training import Trainer

PAPER = {"members": 4320, "width": 256, "samples": 1024, "steps": 1000, "alone": 3, "group": 512}
TINY = {"members": 64, "width": 32, "samples": 64, "steps": 50, "alone": 8, "group": 64}
LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Problem:
    """Wave vectors [members, m, 1], signals [members, samples, 1], coordinates [samples, 1]."""

    waves: Tensor
    targets: Tensor
    coordinates: Tensor

    def part(self, first: int, count: int) -> Problem:
        """The same for some members."""
        chosen = slice(first, first + count)
        return Problem(self.waves[chosen], self.targets[chosen], self.coordinates)


class EnsembleFit(Task):
    """Fits every member to its own signal."""

    def __init__(self, problem: Problem, *, first: int, width: int) -> None:
        seeds = range(first, first + len(problem.waves))
        ensemble = Ensemble(seeds=seeds, wave_vectors=problem.waves, width=width)
        self.field = ensemble.to(problem.waves.device)
        self.encoded = self.field.encode(problem.coordinates)
        self.targets = problem.targets

    def batch(self, step: int, generator: Generator) -> Tensor:
        """Return all signals at all points."""
        return self.targets

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """1/2 sum of squares of every member, summed."""
        return {"value": member_losses(self.field.evaluate(self.encoded), batch).sum()}

    def predict(self, out: Path) -> None:
        """Write nothing: only time and errors count here."""

    @torch.no_grad()
    def errors(self) -> Tensor:
        """Mean squared error of every member."""
        return member_losses(self.field.evaluate(self.encoded), self.targets, "mean")


def measure(sizes: dict[str, int], device: torch.device, turns: int) -> dict[str, Any]:
    """Time both sides in turns after a warm-up; return times, ratio and machine."""
    problem = make_problem(sizes, device)
    warm_up = {**sizes, "steps": 3, "members": 2, "alone": 1}
    train_together(warm_up, problem)
    train_alone(warm_up, problem)
    seconds: dict[str, list[float]] = {"ensemble": [], "one_after_another": []}
    differences = []
    for _ in range(turns):
        taken, together = _timed(device, lambda: train_together(sizes, problem))
        seconds["ensemble"].append(taken)
        taken, alone = _timed(device, lambda: train_alone(sizes, problem))
        seconds["one_after_another"].append(taken * sizes["members"] / sizes["alone"])
        differences.append(((together[: len(alone)] - alone).abs() / alone).max().item())
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    return {
        "sizes": sizes,
        "ratio": medians["one_after_another"] / medians["ensemble"],
        "seconds": medians,
        "seconds_of_turns": seconds,
        "largest_relative_difference_of_errors": max(differences),
    }


def make_problem(sizes: dict[str, int], device: torch.device) -> Problem:
    """Frequencies, signals and coordinates: families and scales in turn, as in figure 4."""
    generator = torch.Generator().manual_seed(1)
    scales = paper_scales().tolist()
    frequencies = [
        draw_frequencies(
            PAPER_FAMILIES[member % len(PAPER_FAMILIES)],
            scale=scales[member // len(PAPER_FAMILIES) % len(scales)],
            generator=generator,
        )
        for member in range(sizes["members"])
    ]
    samples = sizes["samples"]
    signals = power_law_signals(sizes["members"], samples, alpha=1.0, generator=generator)
    coordinates = torch.arange(samples)[:, None] / samples
    waves = 2 * math.pi * torch.stack(frequencies)
    return Problem(waves.to(device), rescale(signals)[..., None].to(device), coordinates.to(device))


def train_together(sizes: dict[str, int], problem: Problem) -> Tensor:
    """All members, `group` at a time: activations of all at once may not fit into memory."""
    errors = []
    for first in range(0, sizes["members"], sizes["group"]):
        count = min(sizes["group"], sizes["members"] - first)
        task = EnsembleFit(problem.part(first, count), first=first, width=sizes["width"])
        with tempfile.TemporaryDirectory() as folder:
            _trainer(sizes["steps"], problem.waves.device, Path(folder)).train(task)
        errors.append(task.errors())
    return torch.cat(errors)


def _trainer(steps: int, device: torch.device, folder: Path) -> Trainer:
    return Trainer(
        recipe=Recipe(steps=steps, learning_rate=LEARNING_RATE, log_every=100),
        seed=0,
        device=device,
        checkpoints=Checkpoints(folder),
        progress=Progress("ensemble", steps, folder, line_seconds=math.inf),
    )


def train_alone(sizes: dict[str, int], problem: Problem) -> Tensor:
    """The first `alone` members, one after another; their mean squared errors."""
    return torch.stack(
        [
            _one_network(sizes, problem.part(member, 1), seed=member)
            for member in range(sizes["alone"])
        ]
    )


def _one_network(sizes: dict[str, int], problem: Problem, *, seed: int) -> Tensor:
    """Train one ordinary network from the start that the ensemble's member of that seed has."""
    start = Ensemble(seeds=[seed], wave_vectors=problem.waves.cpu(), width=sizes["width"])
    layers: list[nn.Module] = []
    for weight in start.weights:
        layer = nn.Linear(*weight.shape[1:])
        layer.weight.data.copy_(weight.data[0].T)
        layer.bias.data.zero_()
        layers += [layer, nn.ReLU()]
    network = nn.Sequential(*layers[:-1]).to(problem.waves.device)
    encoded, target = FourierFeatures(problem.waves[0])(problem.coordinates), problem.targets[0]
    descent = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(sizes["steps"]):
        descent.zero_grad(set_to_none=True)
        ((network(encoded) - target).square().sum() / 2).backward()
        descent.step()
    with torch.no_grad():
        return (network(encoded) - target).square().mean()


def _timed(device: torch.device, work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, result.cpu()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="the paper's sizes, thousands")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None)
    for name in TINY:
        parser.add_argument(f"--{name}", type=int, default=None)
    return parser.parse_args(arguments)


def sizes_from(options: argparse.Namespace) -> dict[str, int]:
    """The tiny or the paper's sizes, changed by what was given."""
    given = {name: getattr(options, name) for name in TINY}
    given = {name: value for name, value in given.items() if value is not None}
    return {**(PAPER if options.paper else TINY), **given}


def main() -> None:
    """Measure, print the ratio and write the JSON."""
    options = parse()
    torch.set_num_threads(options.threads)
    sizes, device = sizes_from(options), torch.device(options.device)
    record = measure(sizes, device, options.turns)
    scale = "paper" if options.paper else "tiny"
    out = options.json or RESULTS / f"ensembles-{scale}-{options.device}.json"
    write_json(out, {"machine": describe(device), **record})
    seconds = record["seconds"]
    print(
        f"{sizes['members']} networks of width {sizes['width']}, {sizes['steps']} steps: "
        f"ensemble {seconds['ensemble']:.2f} s, one after another "
        f"{seconds['one_after_another']:.2f} s ({sizes['alone']} timed), ratio "
        f"{record['ratio']:.2f}; errors differ by "
        f"{record['largest_relative_difference_of_errors']:.1e}"
    )


if __name__ == "__main__":
    main()
