"""Task: is the Fourier mapping a SIREN's first layer?

The image is fitted as in `nir.tasks.image`. A first layer of sines and cosines of N(0, sigma^2)
frequencies, fixed or trained with the rest, stands before ReLU or sine layers; SIREN itself is the
fifth. Predicted beside the image are the empirical kernels on a row through it, before and after
training, and how far trained frequencies moved.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.encodings import FourierFeatures, gaussian_features
from nir.fields.coordinates import Field, field_from, network_from
from nir.kernels import empirical_ntk
from nir.networks.mlp import INITIALISATIONS
from nir.predictions import Predictions
from nir.recipes.first_layer import FirstLayerRecipe
from nir.tasks.image import ImageTask, load_image


def build(
    recipe: FirstLayerRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> FirstLayerTask:
    """Build the task for the picture at `subject`."""
    image = load_image(recipe, subject)
    if recipe.encoding == "gaussian":
        field = _behind_frequencies(recipe, image.shape[-1], generator)
    else:
        field = field_from(recipe, 2, image.shape[-1], generator)
    return FirstLayerTask(recipe, image.to(device), field.to(device))


def _behind_frequencies(recipe: FirstLayerRecipe, channels: int, generator: Generator) -> Field:
    """Fixed or trained frequencies, then ReLU layers, or sine layers as a SIREN's second ones."""
    encoding = gaussian_features(
        2,
        count=recipe.features,
        bandwidth=recipe.bandwidth * recipe.resolution / recipe.bandwidth_resolution,
        generator=generator,
        trainable=recipe.trained_frequencies,
    )
    network = network_from(
        recipe, encoding.features, channels, generator, first_omega_0=recipe.omega_0
    )
    if recipe.activation == "sine":
        # The frequencies are the first layer, so this one starts as those behind it.
        with torch.no_grad():
            INITIALISATIONS["siren"](network.layers[0], 1, recipe.omega_0, generator)
    return Field(encoding, network)


class FirstLayerTask(ImageTask):
    """Fits an image and tells what kernel it was fitted with."""

    recipe: FirstLayerRecipe

    def __init__(
        self, recipe: FirstLayerRecipe, image: Float[Tensor, "h w c"], field: Field
    ) -> None:
        super().__init__(recipe, image, field)
        self.initial_field = copy.deepcopy(field)

    def add_predictions(self, predictions: Predictions) -> None:
        """Add kernels on a row before and after training, and the frequencies' movement."""
        row = self.coordinates[self.recipe.resolution // 2]
        places = torch.linspace(0, len(row) - 1, self.recipe.kernel_points).round().long()
        points = row[places.to(row.device)]
        for name, field in (("before", self.initial_field), ("after", self.field)):
            kernel = empirical_ntk(field, points).detach().cpu()
            predictions.array(f"kernel-{name}", kernel.numpy())
            departure = departure_from_toeplitz(kernel)
            predictions.number("departure_from_stationarity", departure, "1", split=name)
        encoding = self.field.encoding
        if isinstance(encoding, FourierFeatures):
            first = self.initial_field.encoding.wave_vectors
            moved = (encoding.wave_vectors - first).norm() / first.norm()
            predictions.number("frequency_movement", moved.item(), "1")


def departure_from_toeplitz(kernel: Float[Tensor, "n n"]) -> float:
    """Root mean square distance of a matrix from constant diagonals, over that of its entries.

    0 for a stationary kernel on a regular row of points.

    >>> departure_from_toeplitz(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
    0.0
    """
    count = len(kernel)
    means = torch.zeros_like(kernel)
    for offset in range(1 - count, count):
        diagonal = kernel.diagonal(offset)
        means.diagonal(offset).fill_(diagonal.mean())
    return ((kernel - means).norm() / kernel.norm()).item()
