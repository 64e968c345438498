"""Recipes of two questions about the mapping: is it a SIREN's first layer; who chooses sigma?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.field import Encoding
from nir.recipes.image import FourierImageRecipe


@dataclass(frozen=True, kw_only=True)
class FirstLayerRecipe(FourierImageRecipe):
    """A first layer of sines and cosines of N(0, bandwidth^2) frequencies, fixed or trained.

    Behind it stand ReLU or sine layers. Not in the papers; SIREN's own first layer is uniform with
    a standard deviation of 30 / (2 sqrt(3) pi) = 2.76 cycles per unit in two dimensions.
    """

    encoding: Encoding = "gaussian"
    trained_frequencies: bool = False
    kernel_points: int = 48  # on a row through the image, where empirical kernels are compared


@dataclass(frozen=True, kw_only=True)
class ChosenBandwidthRecipe(FourierImageRecipe):
    """Gaussian features whose sigma is chosen from the trained pixels alone.

    "spectrum": does the kernel's spectrum look like the image's; "leave_one_out", "hold_out":
    errors that kernel regression predicts. Empty: `bandwidth` as it stands.
    """

    encoding: Encoding = "gaussian"
    chosen_by: Literal["", "spectrum", "leave_one_out", "hold_out"] = ""
    lowest_candidate: float = 1.0
    highest_candidate: float = 100.0
    candidates: int = 13
    patch: int = 16  # pixels; predicted errors are means over random patches
    patches: int = 6

    def check(self, where: str) -> None:
        """Refuse ranges without candidates."""
        super().check(where)
        if not 0 < self.lowest_candidate < self.highest_candidate or self.candidates < 2:
            raise InputError(
                f"{where}: candidates need 0 < lowest < highest and at least 2 of them"
            )
