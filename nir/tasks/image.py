"""Task: one image as a field from pixel coordinates to colours.

Operator: identity. Serves Fourier Features' image regression (train on every second pixel, test
on pixels between), SIREN's image fit (all pixels, and the derivatives of what was fitted) and the
explicit chapter (the same with a grid of pixels in the network's place).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from nir.data.images import centre_crop_square, read_image, resize_image
from nir.data.splines import spline_derivatives
from nir.fields.coordinates import FixedPoints, field_from
from nir.grids import PixelGrid
from nir.networks.mlp import parameter_count
from nir.operators.calculus import value_gradient_and_laplacian
from nir.predictions import Predictions
from nir.recipes.image import ImageRecipe
from nir.tasks.contract import Task

IMAGE_METRICS = ("psnr_float", "psnr_8bit", "ssim_tf", "ssim_skimage_box7_r1")
POINTS_PER_CHUNK = 65_536  # bounds the memory of prediction, not its result


@dataclass(frozen=True)
class Pixels:
    """Coordinates of pixels and their values as the field should predict them."""

    coordinates: Float[Tensor, "pixels 2"]
    values: Float[Tensor, "pixels channels"]


def pixel_coordinates(resolution: int, convention: str) -> Float[Tensor, "h w 2"]:
    """Coordinates (row, column) of a square image's pixels.

    "unit": i / n in [0, 1), Fourier Features' notebooks. "symmetric": 2 i / (n - 1) - 1 in
    [-1, 1] with both ends, SIREN's get_mgrid.
    """
    index = torch.arange(resolution, dtype=torch.float64)
    axis = index / resolution if convention == "unit" else 2 * index / (resolution - 1) - 1
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).float()


def load_image(recipe: ImageRecipe, subject: Path) -> Float[Tensor, "h w c"]:
    """Read the picture of a recipe, blurred if it asks for that; see `square_image`."""
    image = square_image(subject, side=recipe.resolution, colour=recipe.colour)
    if recipe.blur_pixels > 0:
        from scipy.ndimage import gaussian_filter  # half a second; few jobs need it

        blur = (recipe.blur_pixels, recipe.blur_pixels, 0)
        image = torch.from_numpy(gaussian_filter(image.numpy(), blur))
    return image


def square_image(subject: Path, *, side: int, colour: str) -> Float[Tensor, "h w c"]:
    """Read a picture, crop its centre to a square and bring it to `side` pixels, in [0, 1].

    White shows through transparent pixels. Pictures are reduced by area, enlarged by cubics.
    """
    image = centre_crop_square(read_image(subject, colour=colour, background=1.0))
    kind = "area" if side <= image.shape[0] else "bicubic"
    return torch.from_numpy(resize_image(image, height=side, width=side, filter=kind))


def build(
    recipe: ImageRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> ImageTask:
    """Build the task for the picture at `subject`."""
    image = load_image(recipe, subject)
    if recipe.field == "network":
        scale = recipe.resolution / recipe.bandwidth_resolution
        field = field_from(
            recipe,
            2,
            image.shape[-1],
            generator,
            frequency_scale=scale,
            samples_per_axis=recipe.resolution,
        )
    else:
        field = _pixel_grid(recipe, image)
    return ImageTask(recipe, image.to(device), field.to(device))


def _pixel_grid(recipe: ImageRecipe, image: Float[Tensor, "h w c"]) -> PixelGrid:
    """A grid that starts at the trained pixels, or at the image seen at fewer nodes."""
    coordinates = pixel_coordinates(recipe.resolution, recipe.coordinates)[0, :, 1]
    step = 2 if recipe.trained_pixels == "quarter" else 1
    trained = image[::step, ::step] * (2 if recipe.values == "symmetric" else 1)
    trained = trained - 1 if recipe.values == "symmetric" else trained
    low, high = coordinates[0].item(), coordinates[::step][-1].item()
    full = PixelGrid(trained, low=low, high=high, interpolation=recipe.interpolation)
    nodes = recipe.grid_resolution
    if nodes in (0, trained.shape[0]):
        return full
    axis = torch.linspace(low, high, nodes)
    at_nodes = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
    samples = full(at_nodes).detach().reshape(nodes, nodes, -1)
    return PixelGrid(samples, low=low, high=high, interpolation=recipe.interpolation)


@torch.no_grad()
def round_stored_numbers(field: nn.Module, bits: int) -> None:
    """Round every parameter to what `bits` a number keep: half floats, or 256 levels of [0, 1]."""
    for parameter in field.parameters():
        rounded = parameter.half() if bits == 16 else (parameter.clamp(0, 1) * 255).round() / 255
        parameter.copy_(rounded)


class ImageTask(Task):
    """Fit a field to the trained pixels of one image."""

    def __init__(
        self, recipe: ImageRecipe, image: Float[Tensor, "h w c"], field: nn.Module
    ) -> None:
        self.recipe = recipe
        self.field = field
        self.image = image
        self.coordinates = pixel_coordinates(recipe.resolution, recipe.coordinates).to(image.device)
        self.trained = self._pixels(self._mask("trained"))
        self.tested = self._pixels(self._mask("tested"))
        self.at_trained = FixedPoints(field, self.trained.coordinates)

    def _mask(self, which: str) -> Tensor:
        """Which pixels are trained on or tested on."""
        n = self.recipe.resolution
        trained = torch.zeros(n, n, dtype=torch.bool, device=self.image.device)
        step = 2 if self.recipe.trained_pixels == "quarter" else 1
        trained[::step, ::step] = True
        if which == "trained" or self.recipe.tested_pixels == "trained":
            return trained
        if self.recipe.tested_pixels == "unseen":
            return ~trained
        quarter = torch.zeros_like(trained)
        quarter[1::2, 1::2] = True
        return quarter

    def _pixels(self, mask: Tensor) -> Pixels:
        values = self.image[mask]
        if self.recipe.values == "symmetric":
            values = values * 2 - 1
        return Pixels(self.coordinates[mask], values)

    def batch(self, step: int, generator: Generator) -> Pixels:
        """Return all trained pixels: both papers use full batches."""
        return self.trained

    def losses(self, batch: Pixels) -> dict[str, Tensor]:
        """Mean squared error of the values; Fourier Features' notebooks halve it."""
        error = torch.mean((self.at_trained.values() - batch.values) ** 2)
        return {"value": error / 2 if self.recipe.loss == "half_mse" else error}

    def monitor(self) -> dict[str, float]:
        """Mean squared errors in units of [0, 1] on trained and, if others, tested pixels."""
        if not self.recipe.monitored:
            return {}
        errors = {"mse_trained": self._mean_squared_error(self.at_trained.values(), self.trained)}
        if self.recipe.tested_pixels != "trained":
            values = self.field(self.tested.coordinates)
            errors["mse_tested"] = self._mean_squared_error(values, self.tested)
        return errors

    def _mean_squared_error(self, values: Tensor, pixels: Pixels) -> float:
        predicted = self._in_unit_range(values).clamp(0, 1)
        return torch.mean((predicted - self._in_unit_range(pixels.values)) ** 2).item()

    def _in_unit_range(self, values: Tensor) -> Tensor:
        return values / 2 + 0.5 if self.recipe.values == "symmetric" else values

    def protocol(self) -> str:
        """The protocol of this run's numbers: which pixels are compared, at which size."""
        tested = {"trained": "all", "quarter": "quarter", "unseen": "unseen"}
        r = self.recipe
        pixels = f"train-{r.trained_pixels}-test-{tested[r.tested_pixels]}"
        blur = f"-blur-{r.blur_pixels:g}" if r.blur_pixels else ""
        return f"photo-{r.colour}-{r.resolution}{blur}-{pixels}"

    def predict(self, out: Path) -> None:
        """Write the whole image, the tested pixels if they form a picture, and the derivatives."""
        if self.recipe.stored_bits < 32:
            round_stored_numbers(self.field, self.recipe.stored_bits)
        predictions = Predictions(out, self.protocol())
        predicted = self._predict_image()
        truth = self.image.cpu().numpy()
        if self.recipe.tested_pixels == "trained":
            predictions.compare("image", predicted, truth, metrics=IMAGE_METRICS, split="trained")
        else:
            self._compare_unseen(predictions, predicted, truth)
        self.add_predictions(predictions)
        count = parameter_count(self.field)
        predictions.number("parameters", count, "1")
        predictions.number("stored_bytes", count * self.recipe.stored_bits / 8, "byte")
        predictions.write()

    def add_predictions(self, predictions: Predictions) -> None:
        """Add what is predicted beside the image; here its derivatives, if the recipe asks."""
        if self.recipe.derivatives:
            self._compare_derivatives(predictions)

    @torch.no_grad()
    def _predict_image(self) -> NDArray[np.float32]:
        flat = self.coordinates.reshape(-1, 2)
        values = torch.cat([self.field(chunk) for chunk in flat.split(POINTS_PER_CHUNK)])
        image = self._in_unit_range(values).clamp(0, 1).reshape(self.image.shape)
        return image.float().cpu().numpy()

    def _compare_unseen(
        self, predictions: Predictions, predicted: NDArray[np.float32], truth: NDArray[np.float32]
    ) -> None:
        """Trained pixels form a picture, the tested quarter another; "unseen" is the whole."""
        predictions.array("image-prediction", predicted)
        predictions.array("image-reference", truth)
        seen, between = (slice(None, None, 2),) * 2, (slice(1, None, 2),) * 2
        predictions.compare(
            "trained", predicted[seen], truth[seen], metrics=IMAGE_METRICS[:1], split="trained"
        )
        if self.recipe.tested_pixels == "quarter":
            predictions.compare(
                "tested", predicted[between], truth[between], metrics=IMAGE_METRICS, split="tested"
            )
        else:
            mask = self._mask("tested").cpu().numpy()
            predictions.compare(
                "tested", predicted[mask], truth[mask], metrics=IMAGE_METRICS[:1], split="tested"
            )
            predictions.compare(
                "image", predicted, truth, metrics=("psnr_float", "ssim_tf"), split="whole"
            )

    def _compare_derivatives(self, predictions: Predictions) -> None:
        """The field's own gradient and Laplacian against those of the spline through the pixels."""
        scale = 0.5 if self.recipe.values == "symmetric" else 1.0
        flat = self.coordinates.reshape(-1, 2)
        gradients, laplacians = [], []
        for chunk in flat.split(POINTS_PER_CHUNK // 4):
            with torch.no_grad():
                _, gradient, laplacian = value_gradient_and_laplacian(self.field, chunk)
            gradients.append(gradient * scale)
            laplacians.append(laplacian * scale)
        n = self.recipe.resolution
        truth = spline_derivatives(self.image.cpu().numpy(), self.recipe.coordinates)
        for name, parts, reference in zip(
            ("gradient", "laplacian"), (gradients, laplacians), truth, strict=True
        ):
            predicted = torch.cat(parts).reshape(n, n, -1).cpu().numpy()
            predictions.compare(name, predicted, reference, metrics=("relative_rmse",))
