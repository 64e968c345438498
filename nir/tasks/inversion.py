"""Task: full-waveform inversion. Fields of several sources and the medium, from receivers' data.

Operator: the Helmholtz equation's residual, in which squared slowness is an output of the network
itself; channels are (re, im) a source, then slowness less 1. In the first stage the medium counts
as uniform, so that the fields are formed; then data decide. What receivers hear is a survey's
(`nir.data.surveys`), as the authors' file holds it; or the subject is a medium, and the reference
solver computes what is heard in it. The field never sees a medium.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Generator, Tensor

from nir.data.surveys import Survey, read_survey
from nir.data.waves import (
    AbsorbingLayer,
    Medium,
    gaussian_source,
    grid_points,
    read_medium,
    solve_helmholtz,
)
from nir.fields.coordinates import Field, field_from
from nir.operators.calculus import losses_in_chunks
from nir.predictions import Predictions
from nir.recipes.inversion import InversionRecipe
from nir.tasks.contract import Task
from nir.tasks.helmholtz import helmholtz_operator, residual_terms
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


def survey_of(recipe: InversionRecipe, medium: Medium) -> Survey:
    """What the recipe's receivers hear of each of its sources in a medium."""
    from scipy.interpolate import RegularGridInterpolator

    layer = AbsorbingLayer(width=recipe.layer_width, attenuation=recipe.layer_attenuation)
    points, axis = grid_points(recipe.reference_points), np.linspace(-1, 1, recipe.reference_points)
    sources, receivers = source_places(recipe).numpy(), receiver_places(recipe).numpy()
    heard = []
    for place in sources.tolist():
        source = gaussian_source(points, tuple(place), recipe.source_variance).numpy()
        field = solve_helmholtz(source * (1 + 1j), medium, recipe.wave_number, layer)
        heard.append(RegularGridInterpolator((axis, axis), field)(receivers))
    return Survey(sources=sources, receivers=receivers, heard=np.stack(heard, axis=-1))


def as_channels(heard: Complex[np.ndarray, "places sources"]) -> Float[np.ndarray, "places twice"]:
    """Real and imaginary parts as a field's channels: re, im, re, im ...

    >>> as_channels(np.array([[1 + 2j, 3 + 4j]])).tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """
    parts = np.stack([heard.real, heard.imag], axis=-1)
    return parts.reshape(len(heard), -1).astype(np.float32)


def build(
    recipe: InversionRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> InversionTask:
    """Build the task for a survey (.mat), or for a medium, which only makes the survey."""
    medium = None if subject.suffix == ".mat" else read_medium(subject)
    survey = read_survey(subject) if medium is None else survey_of(recipe, medium)
    field = field_from(recipe, 2, 2 * len(survey.sources) + 1, generator).to(device)
    return InversionTask(recipe, survey, medium, field, device)


class InversionTask(Task):
    """Find a medium from what is heard at its border."""

    def __init__(
        self,
        recipe: InversionRecipe,
        survey: Survey,
        medium: Medium | None,
        field: Field,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.medium = medium
        self.field = field
        self.device = device
        self.layer = AbsorbingLayer(width=recipe.layer_width, attenuation=recipe.layer_attenuation)
        self.places = torch.from_numpy(survey.sources).float().to(device)
        self.receivers = torch.from_numpy(survey.receivers).float().to(device)
        self.data = torch.from_numpy(as_channels(survey.heard)).to(device)

    def batch(self, step: int, generator: Generator) -> InversionPoints:
        """Draw points in the square, the last of them near the sources."""
        r = self.recipe
        points = torch.rand(r.points_per_step, 2, generator=generator, device=self.device) * 2 - 1
        if r.near_points:
            near = points_in_disc(r.near_points, (0.0, 0.0), r.near_radius, generator)
            turns = torch.arange(r.near_points, device=self.device) % len(self.places)
            points[-r.near_points :] = near + self.places[turns]
        return InversionPoints(points, step < r.known_steps)

    def squared_slowness(self, points: Float[Tensor, "points 2"]) -> Float[Tensor, " points"]:
        """The medium as the field has it: 1 in the border, and nowhere below a small positive."""
        found = (self.field(points)[:, -1] + 1).clamp(min=LEAST_SQUARED_SLOWNESS)
        return torch.where(points.abs().amax(dim=-1) > self.recipe.known_border, 1.0, found)

    def losses(self, batch: InversionPoints) -> dict[str, Tensor]:
        """Residuals as for one source, and the known medium or the receivers' data."""
        total, first = len(batch.points), batch.is_first_stage
        terms = losses_in_chunks(
            lambda points: self._parts(points, total, is_first_stage=first),
            batch.points,
            parameters=self.field.parameters(),
            points_per_chunk=self.recipe.points_per_chunk,
        )
        if first:
            return {**terms, "data": terms["equation"].new_zeros(())}
        error = (self.field(self.receivers)[:, :-1] - self.data).abs()
        return {**terms, "data": self.recipe.data_weight * error.mean(dim=0).sum()}

    def _parts(
        self, points: Float[Tensor, "points 2"], total: int, *, is_first_stage: bool
    ) -> dict[str, Tensor]:
        """Sums over points, divided by the number of all where they stand for a mean."""
        slowness = self.squared_slowness(points)
        known = (slowness - 1).abs().sum() / total if is_first_stage else slowness.new_zeros(())
        left = helmholtz_operator(
            lambda x: self.field(x)[..., :-1],
            points,
            torch.ones_like(slowness) if is_first_stage else slowness,
            self.recipe.wave_number,
            self.layer,
        )
        weight = self.recipe.source_weight
        terms = residual_terms(left, self.sources(points), source_weight=weight, total=total)
        return {**terms, "medium": known}

    def sources(self, points: Float[Tensor, "points 2"]) -> Float[Tensor, "points sources"]:
        """Real and imaginary part, which are equal, of every source."""
        variance = self.recipe.source_variance
        each = [gaussian_source(points, tuple(p), variance) for p in self.places.tolist()]
        return torch.stack(each, dim=-1)

    def protocol(self) -> str:
        """How many sources and receivers, at which wave number."""
        places = f"{len(self.places)}-sources-{len(self.receivers)}-receivers"
        return f"inversion-k{self.recipe.wave_number:g}-{places}"

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write the recovered medium, what is heard in it, and the true one where it is known."""
        points = grid_points(self.recipe.compared_points)
        flat = points.float().reshape(-1, 2).to(self.device)
        found = self.squared_slowness(flat).reshape(points.shape[:2]).cpu().numpy()
        predictions = Predictions(out, self.protocol())
        heard = self.field(self.receivers)[:, :-1].cpu().numpy()
        predictions.compare("heard", heard, self.data.cpu().numpy(), metrics=("relative_rmse",))
        predictions.array("receivers", self.receivers.cpu().numpy())
        predictions.array("sources", self.places.cpu().numpy())
        predictions.array("recovered", found)
        if self.medium is not None:
            _compare_media(predictions, self.recipe, self.medium, found)
        predictions.write()


def _compare_media(
    predictions: Predictions,
    recipe: InversionRecipe,
    medium: Medium,
    found: Float[np.ndarray, "n n"],
) -> None:
    """Add both media, and how far apart their anomalies lie."""
    points = grid_points(recipe.compared_points)
    truth = medium.at(points).numpy().astype(np.float32)
    inner = points.abs().amax(dim=-1).numpy() < recipe.receiver_reach
    predictions.compare("medium", found, truth, metrics=("relative_rmse",))
    predictions.compare("anomaly", found[inner] - 1, truth[inner] - 1, metrics=("relative_rmse",))
    places = [anomaly_centre(m - 1, points.numpy(), inner) for m in (found, truth)]
    radius = math.sqrt(float((truth != 1).mean()) * 4 / math.pi)
    distance = float(np.linalg.norm(places[0] - places[1])) / max(radius, 1e-12)
    predictions.number("distance_in_radii", distance, "1", split="anomaly")


def anomaly_centre(
    anomaly: Float[np.ndarray, "n n"], points: Float[np.ndarray, "n n 2"], inner: np.ndarray
) -> Float[np.ndarray, " 2"]:
    """Centre of mass of where, among `inner` points, the anomaly is above half of its largest."""
    size = np.where(inner, np.abs(anomaly), 0.0)
    strong = np.where(size >= size.max() / 2, size, 0.0)
    return (points * strong[..., None]).sum(axis=(0, 1)) / max(float(strong.sum()), 1e-12)
