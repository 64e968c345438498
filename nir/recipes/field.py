"""Which field a run trains: encoding, network, initialisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.recipes.base import Recipe, at_least

Encoding = Literal[
    "none",
    "basic",
    "gaussian",
    "positional",
    "siren_positional",
    "nerf",
    "nerf_paper",
    "radial_basis",
]
Activation = Literal[
    "relu", "leaky_relu", "tanh", "sigmoid", "softplus", "elu", "selu", "sine", "none"
]

Initialisation = Literal[
    "",
    "siren",
    "siren_slide",
    "siren_unit",
    "pytorch",
    "glorot_normal",
    "lecun_normal",
    "kaiming_normal",
    "xavier_normal",
    "xavier_truncated",
    "selu_normal",
    "elu_normal",
]


@dataclass(frozen=True, kw_only=True)
class FieldRecipe(Recipe):
    """A coordinate network. The defaults are those that most of the papers share."""

    encoding: Encoding = "none"
    features: int = 256  # frequencies of gaussian and positional; centres of radial_basis
    bandwidth: float = 10.0  # sigma of gaussian; Fourier Features, 2D natural images
    log2_bandwidth: float = 6.0  # s of positional, highest frequency 2^s - 1; same place
    octaves: int = 10  # of nerf, nerf_paper, siren_positional; NeRF section 5.1. 0: Nyquist's rule
    activation: Activation = "relu"
    width: int = 256  # Fourier Features appendix E, SIREN section 4
    hidden_layers: int = 3
    omega_0: float = 30.0  # SIREN section 3.2
    first_omega_0: float = 30.0  # SIREN section 3.2; 3000 for sounds
    output_activation: Literal["none", "sigmoid", "tanh"] = "none"
    initialisation: Initialisation = ""  # empty: the one published for the activation

    def check(self, where: str) -> None:
        """Refuse sizes that no network has."""
        super().check(where)
        at_least(where, 1, width=self.width, features=self.features)
        at_least(where, 0, hidden_layers=self.hidden_layers, octaves=self.octaves)
