"""Recipes of images completed from some of their pixels, by a learned prior or from one alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import Recipe, at_least
from nir.recipes.field import Activation, FieldRecipe


@dataclass(frozen=True, kw_only=True)
class PriorRecipe(Recipe):
    """SIREN section 4.4; vsitzmann/siren:experiment_scripts/train_img_neural_process.py."""

    steps: int = 652_708  # 401 epochs of CelebA's 162,770 images, 100 at once
    learning_rate: float = 5e-5
    gradient_clip: float = 1.0
    encoder: Literal["set", "convolution", "none"] = "set"  # none: one code for all images
    resolution: int = 32
    colour: Literal["rgb", "grey"] = "rgb"
    images: int = 0  # the first so many; 0: all
    test_images: int = 19_962  # the last so many are never trained on; CelebA's own split
    batch_images: int = 100
    context_least: int = 10  # known pixels of a training image, uniform between these
    context_most: int = 200
    mirrored: bool = False  # half of the training images are turned left to right; paper: none
    half_share: float = 0.0  # of training images, those of which a half is known; paper: none
    tested_contexts: tuple[int, ...] = (10, 100, 1000)  # beside half of the pixels and all
    code_size: int = 256
    encoder_width: int = 256
    width: int = 256  # of the field
    hidden_layers: int = 3
    hyper_width: int = 256
    code_weight: float = 0.1
    weight_weight: float = 100.0

    def check(self, where: str) -> None:
        """Refuse contexts that no image can give."""
        super().check(where)
        if not 1 <= self.context_least <= self.context_most <= self.resolution**2:
            raise InputError(
                f"{where}.context_most: contexts must grow from 1 to {self.resolution**2} pixels"
            )
        if not 0 <= self.half_share <= 1:
            raise InputError(f"{where}.half_share: {self.half_share} is not in [0, 1]")
        for key in ("batch_images", "test_images"):
            if getattr(self, key) < 1:
                raise InputError(f"{where}.{key}: {getattr(self, key)} is too small")


@dataclass(frozen=True, kw_only=True)
class CompletionRecipe(FieldRecipe):
    """One image from a tenth of its pixels; siren:experiment_scripts/train_img_inpainting.py."""

    steps: int = 10_000
    learning_rate: float = 1e-4
    activation: Activation = "sine"
    resolution: int = 512
    colour: Literal["rgb", "grey"] = "rgb"
    known_fraction: float = 0.1
    prior: Literal["none", "total_variation", "hessian"] = "none"
    prior_weight: float = 1.0  # k1, of total variation
    bending_weight: float = 1.0  # k1, of the Hessian's norm
    prior_points: int = 0  # random places where the prior is asked; 0: as many as pixels known

    def check(self, where: str) -> None:
        """Refuse images of which nothing is known."""
        super().check(where)
        if not 0 < self.known_fraction < 1:
            raise InputError(f"{where}.known_fraction: {self.known_fraction} is not in (0, 1)")
        at_least(where, 0, prior_weight=self.prior_weight, bending_weight=self.bending_weight)
        at_least(where, 0, prior_points=self.prior_points)
