"""Task: an image from its derivatives alone (Poisson's equation), or two images composed so.

Operator: gradient or Laplacian. The field never sees a pixel's value; what it learns is right up
to a constant (and, from the Laplacian, up to a harmonic function), so every comparison comes after
the best affine change of its values. Derivatives are per unit of coordinate in [-1, 1], order
(row, column); a gradient's last axis is [channel, direction] flattened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import laplace, sobel
from torch import Generator, Tensor

from nir.fields.coordinates import Field, field_from
from nir.operators.calculus import (
    in_chunks,
    losses_in_chunks,
    value_and_gradient,
    value_gradient_and_laplacian,
)
from nir.predictions import Predictions
from nir.recipes.poisson import PoissonRecipe
from nir.tasks.contract import Task
from nir.tasks.image import pixel_coordinates, square_image
from nir.tasks.monitored import evenly_spread

IMAGE_METRICS = ("psnr_8bit", "psnr_float", "ssim_skimage_box7_r1")
POINTS_PER_CHUNK = 16_384  # bounds the memory of prediction, not its result
MONITORED_PIXELS = 2048


def image_gradient(image: NDArray[np.floating]) -> Float[np.ndarray, "h w c 2"]:
    """Sobel's gradient of an image [H, W, C] per unit of coordinate, gain 8 a pixel divided out."""
    # One channel at a time: scipy's kernel would smooth across channels, too.
    channels = [
        np.stack([sobel(image[..., c], axis=axis) for axis in (0, 1)], axis=-1)
        for c in range(image.shape[-1])
    ]
    per_unit = [(size - 1) / 2 / 8 for size in image.shape[:2]]
    return np.stack(channels, axis=-2) * per_unit


def image_laplacian(image: NDArray[np.floating]) -> Float[np.ndarray, "h w c"]:
    """The five-point Laplacian of a square image [H, W, C] per squared unit of coordinate."""
    channels = [laplace(image[..., c]) for c in range(image.shape[-1])]
    return np.stack(channels, axis=-1) * ((image.shape[0] - 1) / 2) ** 2


def affine_alignment(
    prediction: NDArray[np.floating], reference: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Scale and offset of each channel [C] that bring a prediction closest to the reference.

    Least squares; a prediction without any contrast gets scale zero and the reference's mean.

    >>> scale, offset = affine_alignment(np.array([[0.0], [1.0]]), np.array([[3.0], [5.0]]))
    >>> scale.item(), offset.item()
    (2.0, 3.0)
    """
    p = prediction.reshape(-1, prediction.shape[-1]).astype(np.float64)
    r = reference.reshape(-1, reference.shape[-1]).astype(np.float64)
    centred = p - p.mean(axis=0)
    variance = (centred**2).sum(axis=0)
    covariance = (centred * (r - r.mean(axis=0))).sum(axis=0)
    scale = np.where(variance > 0, covariance / np.maximum(variance, 1e-300), 0.0)
    return scale, r.mean(axis=0) - scale * p.mean(axis=0)


_DERIVATIVES = {
    "value": lambda image: image - 0.5,  # the field's values are centred
    "gradient": image_gradient,
    "laplacian": image_laplacian,
}


@dataclass(frozen=True)
class Derivatives:
    """Some pixels' coordinates and the derivatives that the field should have there."""

    coordinates: Float[Tensor, "pixels 2"]
    targets: Float[Tensor, "pixels numbers"]


def build(
    recipe: PoissonRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> PoissonTask:
    """Build the task for the picture at `subject`, composed with a second one if asked."""
    pictures = [square_image(subject, side=recipe.resolution, colour=recipe.colour)]
    if recipe.composed_with:
        second = Path(recipe.composed_with)
        pictures.append(square_image(second, side=recipe.resolution, colour=recipe.colour))
    field = field_from(recipe, 2, pictures[0].shape[-1], generator)
    return PoissonTask(recipe, [p.numpy() for p in pictures], field.to(device), device)


class PoissonTask(Task):
    """Fit a field's derivatives to those of an image, or to the mean of two images'."""

    def __init__(
        self,
        recipe: PoissonRecipe,
        pictures: list[NDArray[np.float32]],
        field: Field,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.field = field
        self.pictures = pictures
        # Gradients are linear: their mean is the gradient of the mean, the best possible answer.
        self.image = np.mean(pictures, axis=0)
        self.contrast = 2 * recipe.amplitude  # of the field, per unit of the image in [0, 1]
        n = recipe.resolution
        self.coordinates = pixel_coordinates(n, "symmetric").reshape(-1, 2).to(device)
        derivative = _DERIVATIVES[recipe.supervision]
        targets = np.mean([derivative(picture) for picture in pictures], axis=0)
        self.targets = torch.from_numpy((targets * self.contrast).reshape(n * n, -1)).float()
        self.targets = self.targets.to(device)
        self.monitored = evenly_spread(n * n, MONITORED_PIXELS)

    def batch(self, step: int, generator: Generator) -> Derivatives:
        """Return all pixels (the paper), or as many random ones as the recipe says."""
        if self.recipe.points_per_step == 0:
            return Derivatives(self.coordinates, self.targets)
        total = len(self.coordinates)
        device = self.coordinates.device
        chosen = torch.randint(
            total, (self.recipe.points_per_step,), generator=generator, device=device
        )
        return Derivatives(self.coordinates[chosen], self.targets[chosen])

    def losses(self, batch: Derivatives) -> dict[str, Tensor]:
        """Squared error averaged over pixels; that of a gradient is summed over its directions.

        SIREN section 4.1, and vsitzmann/siren:loss_functions.py gradients_mse, laplace_mse.
        """
        numbers = batch.targets.shape[-1]
        averaged = 1 if self.recipe.supervision == "gradient" else numbers
        total = len(batch.coordinates) * averaged
        return losses_in_chunks(
            lambda x, targets: {self.recipe.supervision: self._squared_error(x, targets) / total},
            batch.coordinates,
            batch.targets,
            parameters=self.field.parameters(),
            points_per_chunk=self.recipe.points_per_chunk,
        )

    def _squared_error(
        self, coordinates: Float[Tensor, "pixels 2"], targets: Float[Tensor, "pixels numbers"]
    ) -> Float[Tensor, ""]:
        """Sum over pixels and numbers."""
        if self.recipe.supervision == "value":
            value = found = self.field(coordinates)
        elif self.recipe.supervision == "gradient":
            value, gradient = value_and_gradient(self.field, coordinates)
            found = gradient.flatten(-2)
        else:
            value, _, found = value_gradient_and_laplacian(self.field, coordinates)
        # ReLU has no second derivative: the zero keeps a loss without any gradient differentiable.
        return ((found - targets) ** 2).sum() + 0.0 * value.sum()

    def monitor(self) -> dict[str, float]:
        """Mean squared error of some pixels' values in units of [0, 1], after alignment."""
        prediction = self.field(self.coordinates[self.monitored]).cpu().numpy()
        reference = self.image.reshape(-1, self.image.shape[-1])[self.monitored.numpy()]
        scale, offset = affine_alignment(prediction, reference)
        error = np.clip(prediction * scale + offset, 0, 1) - reference
        return {"mse_trained": float(np.mean(error**2))}

    def protocol(self) -> str:
        """What was supervised at which size; all comparisons are after affine alignment."""
        r = self.recipe
        kind = f"composition-{r.supervision}" if r.composed_with else r.supervision
        return f"poisson-{kind}-{r.colour}-{r.resolution}-affine"

    def predict(self, out: Path) -> None:
        """Write the aligned image, and gradient and Laplacian as the paper measures them."""
        predictions = Predictions(out, self.protocol())
        self.compare(predictions)
        for number, picture in enumerate(self.pictures if self.recipe.composed_with else []):
            predictions.array(f"picture-{number}", picture)
        predictions.write()

    def compare(self, predictions: Predictions, prefix: str = "") -> None:
        """Add image, gradient and Laplacian, their names after `prefix`."""
        n = self.recipe.resolution
        with torch.no_grad():
            value, gradient, laplacian = (
                t.cpu().numpy()
                for t in in_chunks(
                    lambda x: value_gradient_and_laplacian(self.field, x),
                    self.coordinates,
                    points_per_chunk=POINTS_PER_CHUNK,
                )
            )
        value = value.reshape(self.image.shape)
        scale, offset = affine_alignment(value, self.image)
        aligned = (value * scale + offset).clip(0, 1).astype(np.float32)
        predictions.compare(f"{prefix}image", aligned, self.image, metrics=IMAGE_METRICS)
        derivatives = {"gradient": gradient, "laplacian": laplacian}
        for name, found in derivatives.items():
            truth = _DERIVATIVES[name](self.image).reshape(n, n, -1).astype(np.float32)
            found = (found / self.contrast).reshape(n, n, -1)
            predictions.compare(f"{prefix}{name}", found, truth, metrics=("relative_rmse",))
