"""Task: the Helmholtz equation as the loss of a complex field over the plane.

Operator: residual of (A u_x)_x + (B u_y)_y + C m k^2 u = f, with a perfectly matched layer along
the border; real and imaginary part are two channels. The plane, the layer and the reference
solutions are those of `nir.data.waves`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Generator, Tensor

from nir.data.waves import (
    AbsorbingLayer,
    Medium,
    gaussian_source,
    grid_points,
    hankel_field,
    read_medium,
    solve_helmholtz,
)
from nir.fields.coordinates import Field, field_from
from nir.operators.calculus import losses_in_chunks, value_gradient_and_second_derivatives
from nir.predictions import Predictions
from nir.recipes.equations import HelmholtzRecipe
from nir.tasks.contract import Task
from nir.tasks.wave import points_in_disc

SOURCE_DEVIATIONS = 4  # a Gaussian source has ended after so many standard deviations


def helmholtz_operator(
    field: Callable[[Tensor], Tensor],
    points: Float[Tensor, "points 2"],
    slowness: Float[Tensor, " points"],
    wave_number: float,
    layer: AbsorbingLayer,
) -> Complex[Tensor, "points sources"]:
    """(A u_x)_x + (B u_y)_y + C m k^2 u of a field whose channels are re, im, re, im ...

    A = e_y / e_x, B = e_x / e_y, C = e_x e_y depend on one axis each, so that
    (A u_x)_x = e_y / e_x (u_xx - e_x' / e_x u_x); nothing has to be differentiated twice.
    """
    u, first, second = (
        torch.complex(t[:, 0::2].contiguous(), t[:, 1::2].contiguous())
        for t in value_gradient_and_second_derivatives(field, points)
    )
    (ex, ex_x), (ey, ey_y) = (
        tuple(t[:, None] for t in layer.stretch(points[:, axis])) for axis in (0, 1)
    )
    along_x = ey / ex * (second[..., 0] - ex_x / ex * first[..., 0])
    along_y = ex / ey * (second[..., 1] - ey_y / ey * first[..., 1])
    return along_x + along_y + ex * ey * slowness[:, None] * wave_number**2 * u


def residual_terms(
    left: Complex[Tensor, "points sources"],
    source: Float[Tensor, "points sources"],
    *,
    source_weight: float,
    total: int,
) -> dict[str, Tensor]:
    """Absolute residuals, of real and imaginary part: outside a mean, in the source a sum.

    left: the equation's left side, as `helmholtz_operator` gives it; source: real and imaginary
    part of the right one, which are equal; total: how many points the mean is over.
    """
    residual = (left.real - source).abs() + (left.imag - source).abs()
    inside = source != 0
    return {
        "equation": torch.where(inside, 0.0, residual).sum() / total,
        "source": source_weight * torch.where(inside, residual, 0.0).sum(),
    }


def build(
    recipe: HelmholtzRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> HelmholtzTask:
    """Build the task for the medium at `subject`."""
    field = field_from(recipe, 2, 2, generator).to(device)
    return HelmholtzTask(recipe, read_medium(subject), field, device)


class HelmholtzTask(Task):
    """Solve the Helmholtz equation by training on random points of the plane."""

    def __init__(
        self, recipe: HelmholtzRecipe, medium: Medium, field: Field, device: torch.device
    ) -> None:
        self.recipe = recipe
        self.medium = medium
        self.field = field
        self.device = device
        self.layer = AbsorbingLayer(width=recipe.layer_width, attenuation=recipe.layer_attenuation)

    def batch(self, step: int, generator: Generator) -> Float[Tensor, "points 2"]:
        """Draw points in the square, the last of them near the source."""
        r = self.recipe
        points = torch.rand(r.points_per_step, 2, generator=generator, device=self.device) * 2 - 1
        if r.near_points:
            near = points_in_disc(r.near_points, r.source_centre, r.near_radius, generator)
            points[-r.near_points :] = near
        return points

    def losses(self, batch: Float[Tensor, "points 2"]) -> dict[str, Tensor]:
        """`residual_terms` of the equation, by chunks where memory is bounded."""
        total = len(batch)
        return losses_in_chunks(
            lambda points: self._parts(points, total),
            batch,
            parameters=self.field.parameters(),
            points_per_chunk=self.recipe.points_per_chunk,
        )

    def _parts(self, points: Float[Tensor, "points 2"], total: int) -> dict[str, Tensor]:
        left = helmholtz_operator(
            self.field, points, self.medium.at(points), self.recipe.wave_number, self.layer
        )
        source = self.source(points)[:, None]
        weight = self.recipe.source_weight
        return residual_terms(left, source, source_weight=weight, total=total)

    def source(self, points: Float[Tensor, "*points 2"]) -> Float[Tensor, "*points"]:
        """Real and imaginary part of the source, which are equal: a Gaussian of mass 1 + 1i."""
        return gaussian_source(points, self.recipe.source_centre, self.recipe.source_variance)

    def protocol(self) -> str:
        """Which equation, and on which grid it is compared outside of the layer."""
        r = self.recipe
        medium = "uniform" if self.medium.is_uniform else "varied"
        return (
            f"helmholtz-{medium}-k{r.wave_number:g}-variance{r.source_variance:g}"
            f"-layer{r.layer_width:g}-grid{r.compared_points}"
        )

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write field and reference, whole and where they are compared: outside of the layer."""
        r = self.recipe
        points = grid_points(r.compared_points)
        flat = points.float().reshape(-1, 2).to(self.device)
        field = self.field(flat).reshape(*points.shape).cpu().numpy()
        truth = self.reference()
        outside = self.layer.is_outside(points).numpy()
        predictions = Predictions(out, self.protocol())
        predictions.compare("field", field[outside], truth[outside], metrics=("relative_rmse",))
        predictions.array("whole-prediction", field)
        predictions.array("whole-reference", truth)
        predictions.array("squared-slowness", self.medium.at(points).numpy())
        if self.medium.is_uniform:
            distance = (points - torch.tensor(r.source_centre)).norm(dim=-1).numpy()
            far = outside & (distance > SOURCE_DEVIATIONS * r.source_variance**0.5)
            predictions.compare(
                "far", field[far], self._hankel(points)[far], metrics=("relative_rmse",)
            )
        predictions.write()

    def reference(self) -> Float[np.ndarray, "n n 2"]:
        """Finite differences' solution with the same layer, real and imaginary part."""
        r = self.recipe
        fine = 2 * r.compared_points - 1
        source = self.source(grid_points(fine)).numpy() * (1 + 1j)
        solution = solve_helmholtz(source, self.medium, r.wave_number, self.layer)[::2, ::2]
        return np.stack([solution.real, solution.imag], axis=-1).astype(np.float32)

    def _hankel(self, points: Float[Tensor, "n n 2"]) -> Float[np.ndarray, "n n 2"]:
        r = self.recipe
        k = r.wave_number * float(self.medium.squared_slowness.flat[0]) ** 0.5
        solution = hankel_field(points.numpy(), r.source_centre, k, r.source_variance)
        return np.stack([solution.real, solution.imag], axis=-1).astype(np.float32)
