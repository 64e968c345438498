"""Task: the wave equation as the loss of a field from (t, x, y) to displacement.

Operator: residual of u_tt = c^2 (u_xx + u_yy), and the start: a Gaussian at rest. No solution is
shown; the window of times grows while training, so that the start is known before what follows.
The plane and its references are those of `nir.data.waves`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.data.colours import diverging_colours
from nir.data.video import write_mp4
from nir.data.waves import Medium, free_wave, grid_points, leapfrog_wave, read_medium
from nir.fields.coordinates import Field, field_from
from nir.operators.calculus import (
    losses_in_chunks,
    value_gradient_and_combinations,
    value_gradient_and_laplacian,
)
from nir.predictions import Predictions
from nir.recipes.equations import WaveRecipe
from nir.tasks.contract import Task

FRAMES_PER_SECOND = 8
TIME_AND_SPACE = ((1, 0, 0), (0, 1, 1))  # u_tt, and u_xx + u_yy


@dataclass(frozen=True)
class WavePoints:
    """Points (t, x, y) of one step; which of them are at t = 0 tells `is_initial`."""

    coordinates: Float[Tensor, "points 3"]
    is_initial: Tensor


def build(
    recipe: WaveRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> WaveTask:
    """Build the task for the medium at `subject`."""
    field = field_from(recipe, 3, 1, generator).to(device)
    return WaveTask(recipe, read_medium(subject), field, device)


def points_in_disc(
    count: int, centre: tuple[float, ...], radius: float, generator: Generator
) -> Float[Tensor, "count 2"]:
    """Random points about a centre, crowded towards it: radius and angle are uniform.

    vsitzmann/siren:dataio.py, both equations.
    """
    draw = torch.rand(count, 2, generator=generator, device=generator.device)
    r, angle = radius * draw[:, 0], 2 * torch.pi * draw[:, 1]
    disc = torch.stack([r * torch.cos(angle), r * torch.sin(angle)], dim=-1)
    return disc + torch.tensor(centre, device=disc.device)


class WaveTask(Task):
    """Solve the wave equation by training on random points of space and time."""

    def __init__(
        self, recipe: WaveRecipe, medium: Medium, field: Field, device: torch.device
    ) -> None:
        self.recipe = recipe
        self.medium = medium
        self.field = field
        self.device = device

    def batch(self, step: int, generator: Generator) -> WavePoints:
        """Draw points in the window of times of this step; the last ones are at t = 0."""
        r = self.recipe
        window = r.final_time * min((step + 1) / r.window_steps, 1.0)
        points = torch.rand(r.points_per_step, 3, generator=generator, device=self.device)
        points = points * torch.tensor([window, 2, 2], device=self.device)
        points = points - torch.tensor([0, 1, 1], device=self.device)
        if r.near_points:
            disc = points_in_disc(r.near_points, r.source_centre, r.near_radius, generator)
            points[-r.near_points :, 1:] = disc
        if r.later_near_points:
            disc = points_in_disc(r.later_near_points, r.source_centre, r.near_radius, generator)
            points[: r.later_near_points, 1:] = disc
        is_initial = torch.arange(len(points), device=self.device) >= len(points) - r.initial_points
        points[:, 0] = torch.where(is_initial, 0.0, points[:, 0])
        return WavePoints(points, is_initial)

    def initial(self, places: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points 1"]:
        """The displacement at t = 0."""
        r = self.recipe
        squared = ((places - torch.tensor(r.source_centre).to(places)) ** 2).sum(-1, keepdim=True)
        return r.source_peak * torch.exp(-squared / (2 * r.source_variance))

    def losses(self, batch: WavePoints) -> dict[str, Tensor]:
        """Mean absolute residual, and at t = 0 mean absolute errors of value and velocity."""
        total = len(batch.coordinates)
        return losses_in_chunks(
            lambda points, is_initial: self._parts(points, is_initial, total),
            batch.coordinates,
            batch.is_initial,
            parameters=self.field.parameters(),
            points_per_chunk=self.recipe.points_per_chunk,
        )

    def _parts(
        self, points: Float[Tensor, "points 3"], is_initial: Tensor, total: int
    ) -> dict[str, Tensor]:
        """Sums over points, divided by the numbers of all points and of all initial ones."""
        value, gradient, residual = self._residual(points)
        error = (value - self.initial(points[:, 1:])).abs()[is_initial]
        speed = gradient[..., 0].abs()[is_initial]
        r = self.recipe
        initial = r.initial_points
        return {
            "equation": residual.abs().sum() / total,
            "initial_value": r.initial_weight * error.sum() / initial,
            "initial_velocity": r.velocity_weight * speed.sum() / initial,
        }

    def _residual(self, points: Float[Tensor, "points 3"]) -> tuple[Tensor, Tensor, Tensor]:
        """Value, gradient and u_tt - c^2 (u_xx + u_yy)."""
        if self.medium.is_uniform:
            squared_speed = 1 / float(self.medium.squared_slowness.flat[0])
            weights = (1.0, -squared_speed, -squared_speed)
            return value_gradient_and_laplacian(self.field, points, weights)
        value, gradient, second = value_gradient_and_combinations(
            self.field, points, TIME_AND_SPACE
        )
        slowness = self.medium.at(points[:, 1:])[:, None]
        return value, gradient, second[..., 0] - second[..., 1] / slowness

    def protocol(self) -> str:
        """Which equation, until when, and on which grid it is compared."""
        r = self.recipe
        medium = "uniform" if self.medium.is_uniform else "varied"
        grid = f"{r.compared_times}x{r.compared_points}x{r.compared_points}"
        return f"wave-{medium}-t{r.final_time:g}-variance{r.source_variance:g}-{grid}"

    def reference(self) -> Float[np.ndarray, "t n n"]:
        """The true wave: by FFT in a uniform medium of velocity 1, else by finite differences."""
        r = self.recipe
        times = np.linspace(0, r.final_time, r.compared_times)
        free = self.medium.is_uniform and self.medium.squared_slowness.flat[0] == 1
        finer = 2 if free else 4  # than what is compared; differences need it, waves by FFT hardly
        initial = self.initial(grid_points(finer * (r.compared_points - 1) + 1))[..., 0].numpy()
        wave = free_wave(initial, times) if free else leapfrog_wave(initial, self.medium, times)
        return wave[:, ::finer, ::finer].astype(np.float32)

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write field and truth at some times, and a film of truth, field and error."""
        r = self.recipe
        places = grid_points(r.compared_points).float().reshape(-1, 2).to(self.device)
        frames = []
        for t in np.linspace(0, r.final_time, r.compared_times):
            times = torch.full_like(places[:, :1], float(t))
            frames.append(self.field(torch.cat([times, places], dim=-1)).cpu().numpy())
        truth = self.reference()
        field = np.stack(frames).reshape(truth.shape)
        predictions = Predictions(out, self.protocol())
        predictions.compare("field", field, truth, metrics=("relative_rmse",))
        predictions.compare("last", field[-1], truth[-1], metrics=("relative_rmse",))
        predictions.array("times", np.linspace(0, r.final_time, r.compared_times))
        limits = np.abs(truth).max(axis=(1, 2), keepdims=True)
        beside = np.concatenate([truth, field, field - truth], axis=2) / limits
        film = diverging_colours(beside, 1.0)
        write_mp4(out / "truth_field_error.mp4", film, frames_per_second=FRAMES_PER_SECOND)
        predictions.write()
