"""Recipes of reconstructions from indirect measurements: CT and MRI (Fourier Features, section 6).

Without a mapping and with the basic one CT takes a learning rate of 1e-2; the explicit grid takes
1e-1 in both (notebooks 2d_CT and 3d_MRI).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.field import FieldRecipe, Initialisation


@dataclass(frozen=True, kw_only=True)
class ReconstructionRecipe(FieldRecipe):
    """A field that is only seen through a linear operator."""

    steps: int = 1000
    learning_rate: float = 1e-3
    log_every: int = 25
    field: Literal["network", "grid"] = "network"
    resolution: int = 512  # samples along each axis
    hidden_layers: int = 2  # "4 layers" with the output: three ReLU layers of 256
    output_activation: Literal["none", "sigmoid", "tanh"] = "sigmoid"
    initialisation: Initialisation = "glorot_normal"  # jax.stax.Dense

    def check(self, where: str) -> None:
        """Refuse grids of no extent."""
        super().check(where)
        if self.resolution < 8:
            raise InputError(f"{where}.resolution: {self.resolution} is too small; at least 8")


@dataclass(frozen=True, kw_only=True)
class CtRecipe(ReconstructionRecipe):
    """2d_CT: 20 parallel projections of a slice; scales chosen on Shepp-Logan phantoms."""

    angles: int = 20
    bandwidth: float = 4.0  # 5 for ATLAS
    log2_bandwidth: float = 3.0  # 5 for ATLAS

    def check(self, where: str) -> None:
        """Refuse an empty measurement."""
        super().check(where)
        if self.angles < 1:
            raise InputError(f"{where}.angles: {self.angles} is too few; at least 1")


@dataclass(frozen=True, kw_only=True)
class MriRecipe(ReconstructionRecipe):
    """3d_MRI: 12.6 percent of the Fourier coefficients of a volume, most of them low."""

    learning_rate: float = 2e-3  # every mapping
    resolution: int = 96
    bandwidth: float = 5.0  # ATLAS; 2 for Shepp-Logan phantoms
    log2_bandwidth: float = 4.0
