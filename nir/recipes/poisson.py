"""Recipes of images fitted by their derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import another_subject
from nir.recipes.field import Activation, FieldRecipe


@dataclass(frozen=True, kw_only=True)
class PoissonRecipe(FieldRecipe):
    """SIREN section 4.1; vsitzmann/siren:experiment_scripts/train_poisson_grad_img.py.

    The paper's targets are the unnormalised Sobel gradient (gain 8 a pixel) of 10 x image and the
    Laplacian of 1e4 x image, at 256 pixels. A field whose coordinates span two units over 255
    steps of a pixel then stands for 10 * 8 * 2 / 255 = 0.627 and 1e4 * (2 / 255)^2 = 0.615 times
    the image, in [-1, 1]; kept at every resolution, so that a smaller one has the same optimum.
    """

    steps: int = 10_000
    learning_rate: float = 1e-4
    activation: Activation = "sine"
    supervision: Literal["value", "gradient", "laplacian"] = "gradient"
    resolution: int = 256
    colour: Literal["rgb", "grey"] = "grey"
    amplitude: float = 0.62  # of the field, per unit of the image in [-1, 1]; see above
    points_per_step: int = 0  # random pixels a step; 0: all, as the paper
    points_per_chunk: int = 0  # bounds the memory of a step; 0: all points at once
    composed_with: str = another_subject()  # targets are the mean of both pictures' gradients

    def check(self, where: str) -> None:
        """Refuse sizes that have no derivative, and composing of Laplacians."""
        super().check(where)
        if self.resolution < 8:
            raise InputError(f"{where}.resolution: {self.resolution} is too small; 8 at least")
        for key in ("points_per_step", "points_per_chunk"):
            if getattr(self, key) < 0:
                raise InputError(f"{where}.{key}: {getattr(self, key)} is negative")
        if self.amplitude <= 0:
            raise InputError(f"{where}.amplitude: {self.amplitude} must be positive")
        if self.composed_with and self.supervision != "gradient":
            raise InputError(f"{where}.composed_with: composing needs supervision: gradient")


@dataclass(frozen=True, kw_only=True)
class DerivativesRecipe(PoissonRecipe):
    """Three fields in one run, fitted to values, to gradients and to Laplacians of one image.

    The lecture asks whether derivatives of ReLU networks with Fourier features are good.
    """

    def check(self, where: str) -> None:
        """Refuse what belongs to a single field."""
        super().check(where)
        if self.composed_with or self.supervision != "gradient":
            raise InputError(f"{where}: supervision and composed_with are for the task poisson")
