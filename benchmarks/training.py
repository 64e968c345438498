"""Benchmark: training steps a second against the plainest correct loop for the same recipe.

    python -m benchmarks training [--device cuda] [--threads 1] [--resolution 256] [--json FILE]

Both sides start from the same weights and see the same pixels; they take turns, and the ratio of
their median times counts. The losses after the last step are compared, too.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.machine import RESULTS, describe
from nir.checkpoints import Checkpoints
from nir.files import write_json
from nir.progress import Progress
from nir.random import generator_for
from nir.recipes.image import FourierImageRecipe, ImageRecipe, SirenImageRecipe
from nir.tasks.image import ImageTask, build
from nir.training import State, Trainer

STEPS_A_TURN = 10


class PlainSine(nn.Module):
    """sin(30 x), as one would write it."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return torch.sin(30.0 * x)


class PlainFeatures(nn.Module):
    """Gaussian Fourier features, as one would write them."""

    def __init__(self, frequencies: Tensor) -> None:
        super().__init__()
        self.register_buffer("frequencies", frequencies)

    def forward(self, x: Tensor) -> Tensor:
        """Encode coordinates."""
        projected = 2 * math.pi * x @ self.frequencies.T
        return torch.cat([torch.sin(projected), torch.cos(projected)], dim=-1)


def plain_network(task: ImageTask) -> nn.Sequential:
    """The task's field as a plain sequence of modules with the same weights."""
    field = task.field
    layers: list[nn.Module] = []
    if hasattr(field.encoding, "wave_vectors"):
        layers.append(PlainFeatures(field.encoding.wave_vectors / (2 * math.pi)))
    for linear in field.network.layers:
        activation = PlainSine() if task.recipe.activation == "sine" else nn.ReLU()
        layers += [_copied(linear), activation]
    layers.append(_copied(field.network.last))
    if task.recipe.output_activation == "sigmoid":
        layers.append(nn.Sigmoid())
    return nn.Sequential(*layers)


def _copied(linear: nn.Linear) -> nn.Linear:
    copied = nn.Linear(linear.in_features, linear.out_features, device=linear.weight.device)
    copied.load_state_dict({k: linear.state_dict()[k] for k in ("weight", "bias")})
    return copied


class PlainLoop:
    """The loop that a tutorial would show."""

    def __init__(self, task: ImageTask) -> None:
        self.network = plain_network(task)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=task.recipe.learning_rate)
        self.pixels = task.trained
        self.factor = 0.5 if task.recipe.loss == "half_mse" else 1.0
        self.loss = torch.tensor(0.0)

    def turn(self) -> float:
        """Take some steps and return the last loss."""
        for _ in range(STEPS_A_TURN):
            predicted = self.network(self.pixels.coordinates)
            self.loss = self.factor * nn.functional.mse_loss(predicted, self.pixels.values)
            self.optimiser.zero_grad()
            self.loss.backward()
            self.optimiser.step()
            last = self.loss.item()
        return last


class OurLoop:
    """nir's own trainer, with its checks, log and progress."""

    def __init__(self, task: ImageTask, recipe: ImageRecipe, device: torch.device) -> None:
        folder = Path(tempfile.mkdtemp())
        self.task = task
        self.trainer = Trainer(
            recipe=recipe,
            seed=0,
            device=device,
            checkpoints=Checkpoints(folder),
            progress=Progress("benchmark", recipe.steps, folder, line_seconds=math.inf),
        )
        self.state: State = self.trainer._start(task)

    def turn(self) -> float:
        """Take some steps and return the loss before the last."""
        for _ in range(STEPS_A_TURN):
            self.trainer._update(self.task, self.state)
        return self.state.rows[-1]["loss"]


def measure(name: str, recipe: ImageRecipe, device: torch.device, turns: int) -> dict[str, object]:
    """Let both loops take turns on one recipe."""
    from nir.data.fetch import fetch, resolve_subject

    data_root = Path(tempfile.mkdtemp())
    fetch("camera", data_root=data_root)
    subject = resolve_subject("camera", data_root=data_root)
    task = build(recipe, subject, device=device, generator=generator_for(0, "start"))
    loops = {"plain": PlainLoop(task), "nir": OurLoop(task, recipe, device)}
    seconds: dict[str, list[float]] = {key: [] for key in loops}
    losses = {}
    for _ in range(turns):
        for key, loop in loops.items():
            began = time.perf_counter()
            losses[key] = loop.turn()
            seconds[key].append((time.perf_counter() - began) / STEPS_A_TURN)
    medians = {key: statistics.median(values[1:]) for key, values in seconds.items()}
    return {
        "recipe": name,
        "resolution": recipe.resolution,
        "width": recipe.width,
        "ratio": medians["plain"] / medians["nir"],
        "steps_per_second": {key: 1 / value for key, value in medians.items()},
        "losses": losses,
    }


def main() -> None:
    """Measure SIREN and Gaussian Fourier features, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", type=Path, default=RESULTS / "training.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    size = {"resolution": options.resolution, "monitored": False, "log_every": STEPS_A_TURN}
    recipes = {
        "siren_image": SirenImageRecipe(**size, derivatives=False),
        "fourier_image": FourierImageRecipe(**size, encoding="gaussian"),
    }
    rows = [measure(name, recipe, device, options.turns) for name, recipe in recipes.items()]
    print(f"{'recipe':16}{'nir':>12}{'plain':>12}{'ratio':>8}   (steps a second)")
    for row in rows:
        speeds = row["steps_per_second"]
        print(f"{row['recipe']:16}{speeds['nir']:12.2f}{speeds['plain']:12.2f}{row['ratio']:8.2f}")
    write_json(options.json, {"machine": describe(device), "rows": rows})


if __name__ == "__main__":
    main()
