"""Task: waves of all directions in the plane; does an encoding favour the axes?

Operator: identity. One ensemble holds a network for each wave and initialisation. Trained on every
second row and column, tested on the whole grid (Fourier Features figure 11).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.utils.checkpoint import checkpoint

from nir.data.generated_signals import read_signals
from nir.encodings import ffn_positional
from nir.ensembles import Ensemble, member_losses
from nir.errors import InputError
from nir.metrics.image import psnr_of_mse
from nir.predictions import Predictions
from nir.recipes.signals import EncodedPlaneRecipe, PlaneWavesRecipe
from nir.tasks.contract import Task

NUMBERS_KEPT = 2**28  # encoded coordinates of all members: 1 GiB; more are not kept
POINTS_AT_ONCE = 2048  # bounds the memory then, not the result


def build(
    recipe: PlaneWavesRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> PlaneWavesTask:
    """Build the ensemble for the wave vectors of the file `subject` ([angles, radii, 2])."""
    waves = read_signals(subject)
    if waves.ndim != 3 or recipe.angles > waves.shape[0] or recipe.radii > waves.shape[1]:
        raise InputError(f"{subject}: {tuple(waves.shape)} has too few angles or radii")
    waves = waves[:: waves.shape[0] // recipe.angles, : recipe.radii]
    waves = (waves * recipe.period_scale).round().reshape(-1, 2)
    members = len(waves) * recipe.initialisations
    frequencies = member_frequencies(recipe, len(waves), recipe.period_scale, generator)
    field = Ensemble(
        seeds=torch.randint(2**31, (members,), generator=generator).tolist(),
        wave_vectors=2 * math.pi * frequencies,
        dimensions=2,
        width=recipe.width,
        linear_maps=recipe.linear_maps,
    )
    return PlaneWavesTask(recipe, waves.to(device), field.to(device))


def member_frequencies(
    recipe: EncodedPlaneRecipe, pictures: int, scale: float, generator: Generator
) -> Float[Tensor, "members m 2"]:
    """The encoding's frequencies times `scale`, one draw for each initialisation of all pictures.

    Members stand in the order initialisation, picture. The positional encoding draws nothing.
    """
    drawn = [_frequencies(recipe, scale, generator) for _ in range(recipe.initialisations)]
    return torch.cat([frequencies.expand(pictures, -1, -1) for frequencies in drawn])


def _frequencies(
    recipe: EncodedPlaneRecipe, scale: float, generator: Generator
) -> Float[Tensor, "m 2"]:
    if recipe.encoding == "gaussian":
        return torch.randn(recipe.features, 2, generator=generator) * recipe.bandwidth * scale
    encoding = ffn_positional(
        2,
        count=recipe.features,
        log2_bandwidth=recipe.log2_bandwidth,
        frequency_scale=scale,
    )
    return encoding.wave_vectors / (2 * math.pi)


class PlaneWavesTask(Task):
    """Fits every wave from every start; the output passes through tanh, as in the notebook."""

    def __init__(self, recipe: PlaneWavesRecipe, waves: Float[Tensor, "waves 2"], field: Ensemble):
        self.recipe = recipe
        self.field = field
        self.waves = waves
        axis = torch.arange(recipe.resolution, device=waves.device) / recipe.resolution
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
        self.whole = grid.reshape(-1, 2)
        self.points = grid[::2, ::2].reshape(-1, 2)
        self.values = self._values(self.points)
        numbers = field.members * len(self.points) * field.inputs
        self.encoded = field.encode(self.points) if numbers <= NUMBERS_KEPT else None

    def _values(self, points: Float[Tensor, "points 2"]) -> Float[Tensor, "members points 1"]:
        """cos(2 pi w.v) of every wave, repeated for every initialisation."""
        values = torch.cos(2 * math.pi * self.waves @ points.T)[..., None]
        return values.repeat(self.recipe.initialisations, 1, 1)

    def batch(self, step: int, generator: Generator) -> Tensor:
        """Return the trained pixels of every wave."""
        return self.values

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """1/2 mean of squares of every member, summed."""
        if self.encoded is not None:
            fitted = torch.tanh(self.field.evaluate(self.encoded))
            return {"value": member_losses(fitted, batch, "half_mean").sum()}
        parts = zip(self.points.split(POINTS_AT_ONCE), batch.split(POINTS_AT_ONCE, 1), strict=True)
        # Activations of all points at once fill tens of GiB: each part's are computed again on the
        # way back.
        sums = [checkpoint(self._half_squares, *part, use_reentrant=False) for part in parts]
        return {"value": torch.stack(sums).sum() / len(self.points)}

    def _half_squares(self, points: Tensor, values: Tensor) -> Tensor:
        return member_losses(torch.tanh(self.field(points)), values, "half_sum").sum()

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write PSNR over the waves' angle, on and off the axes, and the encoding's frequencies."""
        r = self.recipe
        predictions = Predictions(out, f"plane-waves-{r.resolution}-all-pixels")
        errors = self._errors_on_whole_grid().reshape(r.initialisations, r.angles, r.radii)
        quality = torch.tensor([psnr_of_mse(error) for error in errors.flatten().tolist()]).reshape(
            errors.shape
        )
        predictions.array("psnr", quality.numpy())
        frequencies = self.field.wave_vectors[0].cpu() / (2 * math.pi)
        predictions.array("frequencies", frequencies.numpy())
        by_angle = quality.mean((0, 2))
        axes = by_angle[[0, r.angles // 2]].mean().item()
        diagonals = by_angle[[r.angles // 4, 3 * r.angles // 4]].mean().item()
        predictions.number("psnr_of_waves", axes, "dB", split="axes")
        predictions.number("psnr_of_waves", diagonals, "dB", split="diagonals")
        predictions.number("advantage_of_axes", axes - diagonals, "dB")
        predictions.write()

    def _errors_on_whole_grid(self) -> Float[Tensor, " members"]:
        """Mean squared errors, summed over chunks that bound the memory."""
        total = torch.zeros(self.field.members, device=self.whole.device)
        for points in self.whole.split(POINTS_AT_ONCE):
            fitted = torch.tanh(self.field(points))
            total += (fitted - self._values(points)).square().sum((1, 2))
        return total.cpu() / len(self.whole)
