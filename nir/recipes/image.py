"""Recipes of the tasks that fit one image: Fourier Features' and SIREN's, and explicit pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import at_least
from nir.recipes.field import Activation, FieldRecipe, Initialisation


@dataclass(frozen=True, kw_only=True)
class ImageRecipe(FieldRecipe):
    """One image on a regular grid of coordinates, trained on all pixels or every second one."""

    resolution: int = 512  # both papers; photographs are cropped to a square and reduced
    blur_pixels: float = 0.0  # sigma of a Gaussian over the reduced picture; the papers have none
    bandwidth_resolution: int = 512  # bandwidths are meant here, and shrink with the resolution
    colour: Literal["rgb", "grey"] = "rgb"
    trained_pixels: Literal["all", "quarter"] = "all"  # quarter: every second row and column
    tested_pixels: Literal["trained", "quarter", "unseen"] = "trained"
    coordinates: Literal["unit", "symmetric"] = "unit"  # [0, 1) or [-1, 1] with both ends
    values: Literal["unit", "symmetric"] = "unit"  # what the field predicts: [0, 1] or [-1, 1]
    loss: Literal["half_mse", "mse"] = "mse"
    field: Literal["network", "pixels"] = "network"
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    grid_resolution: int = 0  # pixels: nodes along a side; 0: as many as trained pixels
    stored_bits: int = 32  # of each number on disk; fewer: predictions use the rounded numbers
    derivatives: bool = False  # predict gradient and Laplacian, too
    monitored: bool = True  # log the error on trained and tested pixels

    def check(self, where: str) -> None:
        """Refuse combinations that mean nothing."""
        super().check(where)
        at_least(where, 2, resolution=self.resolution)
        at_least(where, 0, grid_resolution=self.grid_resolution)
        if self.stored_bits not in (8, 16, 32):
            raise InputError(
                f"{where}.stored_bits: 8, 16 or 32 is expected, not {self.stored_bits}"
            )
        if self.stored_bits == 8 and self.field == "network":
            raise InputError(
                f"{where}.stored_bits: 8 is for field: pixels; a network takes 16 or 32"
            )
        if self.trained_pixels == "quarter" and self.resolution % 2:
            raise InputError(
                f"{where}.resolution: {self.resolution} must be even for a quarter grid"
            )
        if self.tested_pixels != "trained" and self.trained_pixels == "all":
            raise InputError(f"{where}.tested_pixels: all pixels are trained; nothing is unseen")


@dataclass(frozen=True, kw_only=True)
class FourierImageRecipe(ImageRecipe):
    """Fourier Features section 6 and appendix E; notebook 2d_image_regression."""

    steps: int = 2000
    learning_rate: float = 1e-3  # natural images take 1e-2 without a mapping and with basic
    trained_pixels: Literal["all", "quarter"] = "quarter"
    tested_pixels: Literal["trained", "quarter", "unseen"] = "quarter"
    loss: Literal["half_mse", "mse"] = "half_mse"
    hidden_layers: int = 2  # "4 layers" with the output: three ReLU layers of 256
    output_activation: Literal["none", "sigmoid", "tanh"] = "sigmoid"
    initialisation: Initialisation = "glorot_normal"  # jax.stax.Dense


@dataclass(frozen=True, kw_only=True)
class SirenImageRecipe(ImageRecipe):
    """SIREN section 4.1; vsitzmann/siren:experiment_scripts/train_img.py."""

    steps: int = 10_000
    learning_rate: float = 1e-4
    colour: Literal["rgb", "grey"] = "grey"
    coordinates: Literal["unit", "symmetric"] = "symmetric"
    values: Literal["unit", "symmetric"] = "symmetric"
    activation: Activation = "sine"
    derivatives: bool = True
