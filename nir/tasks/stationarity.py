"""Task: the same bump at many places; does it matter to the network where it lies?

Operator: identity. One ensemble holds a network for each place and initialisation. Without a
mapping x runs over [-pi, pi); the basic mapping feeds [sin x, cos x], behind which the kernel is
stationary (Fourier Features figure 14).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Generator, Tensor

from nir.data.generated_signals import read_signals
from nir.ensembles import Ensemble, member_losses
from nir.errors import InputError
from nir.predictions import Predictions
from nir.recipes.signals import StationarityRecipe
from nir.tasks.contract import Task

CENTRAL = 0.07  # places this near to the middle of the period count as central


def build(
    recipe: StationarityRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> StationarityTask:
    """Build the ensemble for the bumps of the file `subject`, thinned to the recipe's counts."""
    bumps = read_signals(subject)
    if bumps.ndim != 2 or recipe.centres > len(bumps) or bumps.shape[1] % recipe.points:
        raise InputError(
            f"{subject}: {tuple(bumps.shape)} gives no {recipe.centres} signals of "
            f"{recipe.points} points; take a divisor of its samples"
        )
    chosen = torch.arange(recipe.centres) * len(bumps) // recipe.centres
    bumps = bumps[chosen][:, :: bumps.shape[1] // recipe.points]
    seeds = torch.randint(2**31, (recipe.initialisations,), generator=generator)
    basic = torch.ones(recipe.initialisations * recipe.centres, 1, 1)
    field = Ensemble(
        # The same starts at every place, so that only the place differs.
        seeds=seeds.repeat_interleave(recipe.centres).tolist(),
        wave_vectors=basic if recipe.mapping == "basic" else None,
        width=recipe.width,
        linear_maps=recipe.linear_maps,
    )
    return StationarityTask(recipe, bumps.to(device), field.to(device))


class StationarityTask(Task):
    """Fits every bump from every start."""

    def __init__(self, recipe: StationarityRecipe, bumps: Tensor, field: Ensemble) -> None:
        self.recipe = recipe
        self.field = field
        points = torch.arange(recipe.points, device=bumps.device)[:, None] / recipe.points
        self.encoded = field.encode(2 * math.pi * (points - 0.5))
        self.values = bumps[:, :, None].repeat(recipe.initialisations, 1, 1)

    def batch(self, step: int, generator: Generator) -> Tensor:
        """Return all bumps at all points."""
        return self.values

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """Mean squared error of every member, summed."""
        return {"value": member_losses(self.field.evaluate(self.encoded), batch, "mean").sum()}

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write the error at every place, and its ratio between the middle and elsewhere."""
        r = self.recipe
        predictions = Predictions(out, f"bumps-{r.centres}-{r.points}")
        fitted = self.field.evaluate(self.encoded)
        errors = member_losses(fitted, self.values, "mean").reshape(r.initialisations, r.centres)
        predictions.array("errors", errors.cpu().numpy())
        of_first = slice(0, r.centres)
        predictions.compare(
            "bumps",
            fitted[of_first, :, 0].cpu().numpy(),
            self.values[of_first, :, 0].cpu().numpy(),
            metrics=("mse",),
        )
        over_places = errors.mean(0).cpu()
        central = (torch.arange(r.centres) / r.centres - 0.5).abs() < CENTRAL
        ratio = over_places[central].mean() / over_places[~central].mean()
        predictions.number("error_at_centre_to_elsewhere", ratio.item(), "1")
        predictions.write()
