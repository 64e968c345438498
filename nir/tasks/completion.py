"""Task: one image from a part of its pixels, with a prior on the field's derivatives.

Operator: identity at the known pixels; elsewhere total variation (the gradient's length) or the
Hessian's Frobenius norm is kept small (vsitzmann/siren:loss_functions.py image_mse_TV_prior,
image_mse_FH_prior).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.fields.coordinates import Field, field_from
from nir.operators.calculus import value_and_gradient, value_gradient_and_hessian
from nir.predictions import Predictions
from nir.random import generator_for
from nir.recipes.inpainting import CompletionRecipe
from nir.tasks.contract import Task
from nir.tasks.image import pixel_coordinates, square_image

METRICS = ("psnr_8bit", "psnr_float", "ssim_skimage_box7_r1")
POINTS_PER_CHUNK = 65_536  # bounds the memory of prediction, not its result


@dataclass(frozen=True)
class KnownPixels:
    """Known pixels, and places where only the prior speaks."""

    coordinates: Float[Tensor, "pixels 2"]
    values: Float[Tensor, "pixels c"]
    places: Float[Tensor, "places 2"]


def build(
    recipe: CompletionRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> CompletionTask:
    """Build the task for the picture at `subject`."""
    image = square_image(subject, side=recipe.resolution, colour=recipe.colour).to(device)
    field = field_from(recipe, 2, image.shape[-1], generator).to(device)
    return CompletionTask(recipe, image, field)


class CompletionTask(Task):
    """Fit the known pixels of an image and keep the field's derivatives small elsewhere."""

    def __init__(
        self, recipe: CompletionRecipe, image: Float[Tensor, "h w c"], field: Field
    ) -> None:
        self.recipe = recipe
        self.image = image
        self.field = field
        n = recipe.resolution
        self.coordinates = pixel_coordinates(n, "symmetric").to(image.device)
        draw = torch.rand(n, n, generator=generator_for("known pixels", n))
        self.known = (draw < recipe.known_fraction).to(image.device)

    def batch(self, step: int, generator: Generator) -> KnownPixels:
        """Return all known pixels and fresh places for the prior."""
        values = self.image[self.known] * 2 - 1
        count = self.recipe.prior_points or len(values)
        places = torch.rand(count, 2, generator=generator, device=self.image.device) * 2 - 1
        return KnownPixels(self.coordinates[self.known], values, places)

    def losses(self, batch: KnownPixels) -> dict[str, Tensor]:
        """Squared error of known pixels and the prior's mean."""
        error = ((self.field(batch.coordinates) - batch.values) ** 2).mean()
        if self.recipe.prior == "none":
            return {"pixels": error}
        if self.recipe.prior == "total_variation":
            weight = self.recipe.prior_weight
            derivatives = value_and_gradient(self.field, batch.places)[1]
        else:
            weight = self.recipe.bending_weight
            derivatives = value_gradient_and_hessian(self.field, batch.places)[2].flatten(-2)
        return {"pixels": error, self.recipe.prior: weight * derivatives.norm(dim=-1).mean()}

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write the whole image, the unknown pixels alone, and which were known."""
        flat = self.coordinates.reshape(-1, 2)
        values = torch.cat([self.field(chunk) for chunk in flat.split(POINTS_PER_CHUNK)])
        found = (values / 2 + 0.5).clamp(0, 1).reshape(self.image.shape).cpu().numpy()
        truth, known = self.image.cpu().numpy(), self.known.cpu().numpy()
        r = self.recipe
        protocol = f"photo-{r.colour}-{r.resolution}-known-{r.known_fraction:g}"
        predictions = Predictions(out, protocol)
        predictions.compare("image", found, truth, metrics=METRICS)
        predictions.compare("unknown", found[~known], truth[~known], metrics=METRICS[1:2])
        predictions.array("known", known.astype(np.uint8))
        predictions.write()
