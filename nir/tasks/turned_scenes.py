"""Task: one scene whose edges lie along the axes, turned by many angles.

Operator: identity. One ensemble holds a network for each angle and initialisation. Trained on
every second row and column, tested on the pixels between. An encoding whose frequencies lie along
the axes should lose what it is better at as soon as the scene is turned.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

from nir.data.generated_signals import read_signals
from nir.ensembles import Ensemble, member_losses
from nir.errors import InputError
from nir.metrics.image import psnr_of_mse
from nir.predictions import Predictions
from nir.recipes.signals import TurnedScenesRecipe
from nir.tasks.contract import Task
from nir.tasks.plane_waves import member_frequencies


def build(
    recipe: TurnedScenesRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> TurnedScenesTask:
    """Build the ensemble for the pictures of the file `subject`, the first of them straight."""
    pictures = read_signals(subject)
    if pictures.ndim != 3 or recipe.angles > len(pictures):
        raise InputError(f"{subject}: {tuple(pictures.shape)} has no {recipe.angles} pictures")
    if pictures.shape[1] % recipe.resolution or pictures.shape[1] != pictures.shape[2]:
        raise InputError(
            f"{subject}: resolution {recipe.resolution} does not divide {pictures.shape[1:]}"
        )
    chosen = torch.arange(recipe.angles) * len(pictures) // recipe.angles
    pictures = F.avg_pool2d(pictures[chosen], pictures.shape[1] // recipe.resolution)
    scale = recipe.resolution / recipe.bandwidth_resolution
    frequencies = member_frequencies(recipe, len(pictures), scale, generator)
    field = Ensemble(
        seeds=torch.randint(2**31, (len(frequencies),), generator=generator).tolist(),
        wave_vectors=2 * math.pi * frequencies,
        dimensions=2,
        width=recipe.width,
        linear_maps=recipe.linear_maps,
    )
    return TurnedScenesTask(recipe, pictures.to(device), field.to(device))


class TurnedScenesTask(Task):
    """Fits every turned picture from every start; the output passes through a sigmoid."""

    def __init__(
        self, recipe: TurnedScenesRecipe, pictures: Float[Tensor, "angles h w"], field: Ensemble
    ) -> None:
        self.recipe = recipe
        self.field = field
        self.pictures = pictures
        axis = torch.arange(recipe.resolution, device=pictures.device) / recipe.resolution
        self.grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
        self.encoded = field.encode(self.grid[::2, ::2].reshape(-1, 2))
        values = pictures[:, ::2, ::2].reshape(len(pictures), -1, 1)
        self.values = values.repeat(recipe.initialisations, 1, 1)

    def batch(self, step: int, generator: Generator) -> Tensor:
        """Return the trained pixels of every picture."""
        return self.values

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """1/2 mean of squares of every member, summed."""
        fitted = torch.sigmoid(self.field.evaluate(self.encoded))
        return {"value": member_losses(fitted, batch, "half_mean").sum()}

    @torch.no_grad()
    def fitted(self) -> Float[Tensor, "initialisations angles h w"]:
        """All pictures as they were learned, on the whole grid."""
        parts = [torch.sigmoid(self.field(p)) for p in self.grid.reshape(-1, 2).split(2048)]
        shape = (self.recipe.initialisations, *self.pictures.shape)
        return torch.cat(parts, dim=1).reshape(shape).cpu()

    def predict(self, out: Path) -> None:
        """Write the pictures, straight and turned, and PSNR between the pixels over the angle."""
        predictions = Predictions(out, f"turned-scenes-{self.recipe.resolution}-between")
        fitted, truth = self.fitted(), self.pictures.cpu()
        predictions.array("pictures-prediction", fitted[0].numpy())
        predictions.array("pictures-reference", truth.numpy())
        between = (..., slice(1, None, 2), slice(1, None, 2))
        error = (fitted[between] - truth[between]).square().mean((-1, -2))
        quality = torch.tensor([psnr_of_mse(e) for e in error.flatten().tolist()])
        quality = quality.reshape(error.shape)
        predictions.array("psnr", quality.numpy())
        straight, turned = quality[:, 0], quality[:, 1:]
        predictions.number("psnr_of_scene", straight.mean().item(), "dB", split="straight")
        predictions.number("psnr_of_scene", turned.mean().item(), "dB", split="turned")
        advantage = (straight - turned.mean(1)).mean().item()
        predictions.number("advantage_of_axes", advantage, "dB")
        predictions.write()
