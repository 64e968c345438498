"""Task: one image behind Gaussian features whose sigma is chosen from the trained pixels alone.

The choice is made before training by a criterion of `nir.bandwidth`; then the image is fitted as in
`nir.tasks.image`. Sigmas are in the recipe's unit, at `bandwidth_resolution`.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.bandwidth import (
    BandwidthChoice,
    choose_by_hold_out,
    choose_by_leave_one_out,
    choose_by_spectrum,
    random_patches,
)
from nir.fields.coordinates import field_from
from nir.kernels import Kernel, ReluNetwork, gaussian_features_limit
from nir.predictions import Predictions
from nir.random import generator_for
from nir.recipes.first_layer import ChosenBandwidthRecipe
from nir.tasks.image import ImageTask, load_image


def build(
    recipe: ChosenBandwidthRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> ChosenBandwidthTask:
    """Choose sigma if the recipe says so, then build the task for the picture at `subject`."""
    image = load_image(recipe, subject)
    choice = choose_bandwidth(recipe, image[::2, ::2])
    chosen = recipe if choice is None else dataclasses.replace(recipe, bandwidth=choice.sigma)
    scale = recipe.resolution / recipe.bandwidth_resolution
    field = field_from(chosen, 2, image.shape[-1], generator, frequency_scale=scale)
    return ChosenBandwidthTask(chosen, image.to(device), field.to(device), choice)


def choose_bandwidth(
    recipe: ChosenBandwidthRecipe, trained: Float[Tensor, "h w c"]
) -> BandwidthChoice | None:
    """Choose among log-spaced sigmas by the recipe's criterion; None where it names none.

    Training by Adam is taken for gradient flow of a learning rate of one over the kernel's
    diagonal, for as many steps: the predicted errors depend on that product weakly.
    """
    if not recipe.chosen_by:
        return None
    scale = recipe.resolution / recipe.bandwidth_resolution
    network = ReluNetwork(
        linear_maps=recipe.hidden_layers + 2, width=recipe.width, weight_std=math.sqrt(2)
    )

    def kernel_of(sigma: float) -> Kernel:
        return gaussian_features_limit(network, sigma * scale, features=2 * recipe.features)

    sigmas = np.geomspace(recipe.lowest_candidate, recipe.highest_candidate, recipe.candidates)
    how = {"candidates": [round(float(s), 3) for s in sigmas], "kernel_of": kernel_of}
    spacing = 2 / recipe.resolution
    if recipe.chosen_by == "spectrum":
        return choose_by_spectrum(trained.movedim(-1, 0), spacing=spacing, **how)
    # Which patches are looked at belongs to the method, not to the run's seed.
    generator = generator_for("bandwidth patches")
    patches = random_patches(
        trained, size=recipe.patch, count=recipe.patches, spacing=spacing, generator=generator
    )
    if recipe.chosen_by == "leave_one_out":
        return choose_by_leave_one_out(patches, **how)
    origin = torch.zeros(1, 2, dtype=torch.float64)
    rate = 1 / kernel_of(recipe.lowest_candidate)(origin, origin).item()
    return choose_by_hold_out(
        patches, **how, learning_rate=rate, steps=recipe.steps, splits=2, generator=generator
    )


class ChosenBandwidthTask(ImageTask):
    """Fits an image; tells which sigma it was given and by which curve."""

    def __init__(
        self,
        recipe: ChosenBandwidthRecipe,
        image: Float[Tensor, "h w c"],
        field: nn.Module,
        choice: BandwidthChoice | None,
    ) -> None:
        super().__init__(recipe, image, field)
        self.choice = choice

    def add_predictions(self, predictions: Predictions) -> None:
        """Add the sigma, and the criterion over all candidates."""
        predictions.number("sigma", self.recipe.bandwidth, "1")
        if self.choice is not None:
            curve = np.stack([self.choice.candidates, self.choice.criterion])
            predictions.array("criterion", curve)
