"""Recipes of NeX: the paper's, and its low-memory variant.

Sources: NeX (CVPR 2021), sections 3 and 4; nex-mpi/nex-code: train.py, utils/mpi_utils.py and the
README. Values without another source are the defaults of train.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import Recipe, asked_afterwards, at_least


@dataclass(frozen=True, kw_only=True)
class NexRecipe(Recipe):
    """NeX on forward-facing scenes; the same values for all of them (nex-code#15)."""

    method: Literal["nex", "nearest_view"] = "nex"  # nearest_view: the baseline without a model
    steps: int = 68_000  # 4000 epochs of one view a step, for the 17 views of fern
    learning_rate: float = 1e-3  # of both networks
    base_learning_rate: float = 1e-2  # of the explicit base colour k0
    learning_rate_decay: float = 0.1  # at each drop
    drops: int = 3  # every 1333 epochs of 4000; the last one comes when training ends
    log_every: int = 100

    rays: int = 8000  # a step: 2666 anchors, each with its right and its lower neighbour
    rays_from_one_view: bool = True  # one view a step, each once an epoch
    gradient_loss: Literal["finite_difference", "analytic", "none"] = "finite_difference"
    gradient_weight: float = 0.05
    total_variation_weight: float = 0.03

    planes: int = 192
    planes_per_group: int = 12  # that share base colour and coefficients
    margin: int = 200  # pixels added to the reference image on each side (offset)
    near: float = 0.0  # depth of the nearest plane in the files' units; 0: planes.txt, or bounds
    far: float = 0.0
    inverse_depth: bool = True  # unless planes.txt says otherwise (invz)
    reference_view: str = ""  # name of the training image; "": the one nearest to the mean place

    base: Literal["explicit", "network"] = "explicit"  # section 3.4
    base_shrink: int = 1  # texels of a plane that share one texel of k0 along each side
    transparency: float = 5.0  # alpha = sigmoid(x - 5); less where planes are few
    coefficients: int = 8  # functions of the basis; 0: colour does not depend on the view
    basis: Literal["learned", "spherical", "hemispherical", "fourier", "jacobi", "taylor"] = (
        "learned"
    )
    basis_octaves: int = 3
    basis_width: int = 64
    width: int = 384
    hidden_layers: int = 4  # six linear maps
    activation: Literal["leaky_relu", "sine"] = "leaky_relu"
    encoding: Literal["positional", "gaussian", "none"] = "positional"
    position_octaves: int = 10  # of x and of y
    plane_octaves: int = 8  # of the plane's index
    bandwidth: float = 8.0  # of Gaussian features, in cycles per half side; ours

    shrink: int = 4  # LLFF's images at a width of 1008 (section 4)
    train_views: int = 0  # the first so many, rather than all
    perceptual: bool = asked_afterwards(True)  # LPIPS (VGG), which the tables print
    compared_training_views: int = asked_afterwards(0)  # so many training views are predicted, too
    by_angle: bool = asked_afterwards(False)  # average views by their angle to training views
    video_frames: int = asked_afterwards(120)  # along LLFF's spiral; 0: no video

    background = "none"  # planes have none; for what all scene tasks share
    test_skip = 1

    @property
    def anchors(self) -> int:
        """Pixels drawn a step; with two neighbours each they make up `rays` (nex-code).

        >>> NexRecipe().anchors
        2666
        """
        return self.rays // 3

    def learning_rate_factor(self, step: int) -> float:
        """0.1 to the number of drops passed; drops divide the training evenly.

        >>> [NexRecipe(steps=30).learning_rate_factor(s) for s in (0, 9, 10)]
        [1.0, 1.0, 0.1]
        """
        return self.learning_rate_decay ** (step * self.drops // max(self.steps, 1))

    def check(self, where: str) -> None:
        """Refuse what cannot be placed or trained."""
        super().check(where)
        least = {
            "rays": 3,
            "planes": 2,
            "planes_per_group": 1,
            "shrink": 1,
            "width": 2,
            "position_octaves": 1,
            "plane_octaves": 1,
            "basis_octaves": 1,
            "basis_width": 2,
            "drops": 1,
        }
        for key, smallest in least.items():
            at_least(where, smallest, **{key: getattr(self, key)})
        not_negative = (
            "margin",
            "coefficients",
            "base_shrink",
            "hidden_layers",
            "train_views",
            "compared_training_views",
        )
        weights = ("gradient_weight", "total_variation_weight", "video_frames")
        at_least(where, 0, **{key: getattr(self, key) for key in not_negative + weights})
        if self.base_learning_rate <= 0:
            raise InputError(f"{where}.base_learning_rate: must be positive")
        if self.planes % self.planes_per_group:
            raise InputError(
                f"{where}.planes_per_group: {self.planes_per_group} does not divide "
                f"{self.planes} planes"
            )
        self._check_bounds(where)
        if self.base == "explicit" and self.base_shrink == 0:
            raise InputError(f"{where}.base_shrink: 1 is the least; base: network has no texels")
        if self.method == "nearest_view" and self.steps:
            raise InputError(f"{where}.steps: nearest_view has nothing to train; set steps to 0")

    def _check_bounds(self, where: str) -> None:
        at_least(where, 0, near=self.near, far=self.far)
        if (self.near > 0) != (self.far > 0):
            raise InputError(f"{where}.near, far: give both depths, or 0 for the scene's bounds")
        if self.near and not self.near < self.far:
            raise InputError(
                f"{where}.near: {self.near:g} is not less than far, {self.far:g}; exchange them"
            )


@dataclass(frozen=True, kw_only=True)
class LowMemoryNexRecipe(NexRecipe):
    """NeX for GPUs with less memory: the README's second set of values."""

    planes: int = 72  # 12 layers of 6 sublayers
    planes_per_group: int = 6
    width: int = 256
