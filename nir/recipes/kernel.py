"""Recipe of the study of kernels: a wide network on a 1-D signal, and what its kernel predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import Recipe


@dataclass(frozen=True, kw_only=True)
class KernelRecipe(Recipe):
    """Fourier Features sections 3 to 5, figures 2, 3, 7 and 12; notebook 1d_regression.

    "none" feeds x - 0.5; "power_law" frequencies b = 1 ... with amplitudes b^-power, divided by
    their norm; "basic" the same with b = 1 alone (power infinity; the others are 0, so that the
    network's inputs are as many).
    """

    steps: int = 50_000  # 50,001 in the notebook, which counts the one before the first
    learning_rate: float = 1e-5  # of the loss 1/2 sum; times 1024 / width for the same course
    optimiser: Literal["adam", "sgd"] = "sgd"
    log_every: int = 20
    mapping: Literal["none", "basic", "power_law"] = "power_law"
    power: float = 1.0
    frequencies: int = 16
    trained_points: int = 32  # of a signal on eight times as many
    signal: int = 0  # which of the subject's signals
    width: int = 1024
    linear_maps: int = 4  # three hidden layers and the output

    def check(self, where: str) -> None:
        """Refuse sizes that leave nothing to learn."""
        super().check(where)
        if self.linear_maps < 2 or self.width < 1 or self.frequencies < 1:
            raise InputError(f"{where}: linear_maps ≥ 2, width ≥ 1 and frequencies ≥ 1 are needed")
        if self.trained_points < 32:
            raise InputError(f"{where}.trained_points: at least 32, so that bin 15 exists")
