"""Task: full-waveform inversion. Fields of several sources and the medium, from receivers' data.

Operator: the Helmholtz equation's residual, in which squared slowness is an output of the network
itself; channels are (re, im) a source, then slowness less 1. In the first stage the medium counts
as uniform, so that the fields are formed; then data decide. What receivers hear is computed by
the reference solver in the true medium, which the field never sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.data.waves import (
    AbsorbingLayer,
    Medium,
    gaussian_source,
    grid_points,
    read_medium,
    solve_helmholtz,
)
from nir.fields import Field, field_from
from nir.predictions import Predictions
from nir.recipes.inversion import InversionRecipe
from nir.tasks.contract import Task
from nir.tasks.helmholtz import helmholtz_operator
from nir.tasks.wave import points_in_disc

LEAST_SQUARED_SLOWNESS = 1e-3  # 1 - 0.999 in the authors' code


@dataclass(frozen=True)
class InversionPoints:
    """Points of one step, and whether the medium still counts as uniform."""

    points: Float[Tensor, "points 2"]
    is_first_stage: bool


def source_places(recipe: InversionRecipe) -> Float[Tensor, "sources 2"]:
    """Sources on a line below the middle."""
    reach = recipe.source_reach
    x = torch.linspace(-reach, reach, recipe.sources, dtype=torch.float64)
    return torch.stack([x, torch.full_like(x, -reach)], dim=-1)


def receiver_places(recipe: InversionRecipe) -> Float[Tensor, "receivers 2"]:
    """Receivers at equal distances along the perimeter of a square."""
    along = torch.arange(recipe.receivers, dtype=torch.float64) * 4 / recipe.receivers
    side, part = along.long() % 4, 2 * (along % 1) - 1
    one = torch.ones_like(part)
    corners = [(part, -one), (one, part), (-part, one), (-one, -part)]
    places = torch.stack([torch.stack(pair, dim=-1) for pair in corners])
    return recipe.receiver_reach * places[side, torch.arange(recipe.receivers)]


def heard_data(recipe: InversionRecipe, medium: Medium) -> Float[np.ndarray, "receivers channels"]:
    """What the receivers hear of each source in the true medium: re, im, re, im ..."""
    from scipy.interpolate import RegularGridInterpolator

    layer = AbsorbingLayer(width=recipe.layer_width, attenuation=recipe.layer_attenuation)
    points, axis = grid_points(recipe.reference_points), np.linspace(-1, 1, recipe.reference_points)
    channels = []
    for place in source_places(recipe).tolist():
        source = gaussian_source(points, tuple(place), recipe.source_variance).numpy()
        field = solve_helmholtz(source * (1 + 1j), medium, recipe.wave_number, layer)
        heard = RegularGridInterpolator((axis, axis), field)(receiver_places(recipe).numpy())
        channels += [heard.real, heard.imag]
    return np.stack(channels, axis=-1).astype(np.float32)


def build(
    recipe: InversionRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> InversionTask:
    """Build the task; the medium at `subject` only makes the data."""
    field = field_from(recipe, 2, 2 * recipe.sources + 1, generator).to(device)
    return InversionTask(recipe, read_medium(subject), field, device)


class InversionTask(Task):
    """Find a medium from what is heard at its border."""

    def __init__(
        self, recipe: InversionRecipe, medium: Medium, field: Field, device: torch.device
    ) -> None:
        self.recipe = recipe
        self.medium = medium
        self.field = field
        self.device = device
        self.layer = AbsorbingLayer(width=recipe.layer_width, attenuation=recipe.layer_attenuation)
        self.places = source_places(recipe).float().to(device)
        self.receivers = receiver_places(recipe).float().to(device)
        self.data = torch.from_numpy(heard_data(recipe, medium)).to(device)

    def batch(self, step: int, generator: Generator) -> InversionPoints:
        """Draw points in the square, the last of them near the sources."""
        r = self.recipe
        points = torch.rand(r.points_per_step, 2, generator=generator, device=self.device) * 2 - 1
        if r.near_points:
            near = points_in_disc(r.near_points, (0.0, 0.0), r.near_radius, generator)
            turns = torch.arange(r.near_points, device=self.device) % r.sources
            points[-r.near_points :] = near + self.places[turns]
        return InversionPoints(points, step < r.known_steps)

    def squared_slowness(self, points: Float[Tensor, "points 2"]) -> Float[Tensor, " points"]:
        """The medium as the field has it: 1 in the border, and nowhere below a small positive."""
        found = (self.field(points)[:, -1] + 1).clamp(min=LEAST_SQUARED_SLOWNESS)
        return torch.where(points.abs().amax(dim=-1) > self.recipe.known_border, 1.0, found)

    def losses(self, batch: InversionPoints) -> dict[str, Tensor]:
        """Residuals as for one source, and the known medium or the receivers' data."""
        r, points = self.recipe, batch.points
        slowness = self.squared_slowness(points)
        in_equation = torch.ones_like(slowness) if batch.is_first_stage else slowness
        left = helmholtz_operator(
            lambda x: self.field(x)[..., : 2 * r.sources],
            points,
            in_equation,
            r.wave_number,
            self.layer,
        )
        source = self.sources(points)
        residual = (left.real - source).abs() + (left.imag - source).abs()
        inside = source != 0
        known, heard = residual.new_zeros(()), residual.new_zeros(())
        if batch.is_first_stage:
            known = (slowness - 1).abs().mean()
        else:
            error = (self.field(self.receivers)[:, :-1] - self.data).abs()
            heard = r.data_weight * error.mean(dim=0).sum()
        return {
            "equation": torch.where(inside, 0.0, residual).sum() / len(points),
            "source": r.source_weight * torch.where(inside, residual, 0.0).sum(),
            "medium": known,
            "data": heard,
        }

    def sources(self, points: Float[Tensor, "points 2"]) -> Float[Tensor, "points sources"]:
        """Real and imaginary part, which are equal, of every source."""
        variance = self.recipe.source_variance
        each = [gaussian_source(points, tuple(p), variance) for p in self.places.tolist()]
        return torch.stack(each, dim=-1)

    def protocol(self) -> str:
        """How many sources and receivers, at which wave number."""
        r = self.recipe
        return f"inversion-k{r.wave_number:g}-{r.sources}-sources-{r.receivers}-receivers"

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write the recovered and the true medium, and how far apart their anomalies lie."""
        r = self.recipe
        points = grid_points(r.compared_points)
        flat = points.float().reshape(-1, 2).to(self.device)
        shape = points.shape[:2]
        found = self.squared_slowness(flat).reshape(shape).cpu().numpy()
        truth = self.medium.at(points).numpy().astype(np.float32)
        inner = points.abs().amax(dim=-1).numpy() < r.receiver_reach
        predictions = Predictions(out, self.protocol())
        predictions.compare("medium", found, truth, metrics=("relative_rmse",))
        predictions.compare(
            "anomaly", found[inner] - 1, truth[inner] - 1, metrics=("relative_rmse",)
        )
        places = [anomaly_centre(m - 1, points.numpy(), inner) for m in (found, truth)]
        radius = math.sqrt(float((truth != 1).mean()) * 4 / math.pi)
        distance = float(np.linalg.norm(places[0] - places[1])) / max(radius, 1e-12)
        predictions.number("distance_in_radii", distance, "1", split="anomaly")
        predictions.array("receivers", self.receivers.cpu().numpy())
        predictions.array("sources", self.places.cpu().numpy())
        predictions.write()


def anomaly_centre(
    anomaly: Float[np.ndarray, "n n"], points: Float[np.ndarray, "n n 2"], inner: np.ndarray
) -> Float[np.ndarray, " 2"]:
    """Centre of mass of where, among `inner` points, the anomaly is above half of its largest."""
    size = np.where(inner, np.abs(anomaly), 0.0)
    strong = np.where(size >= size.max() / 2, size, 0.0)
    return (points * strong[..., None]).sum(axis=(0, 1)) / max(float(strong.sum()), 1e-12)
