"""Recipe of the study of how networks start: statistics layer by layer, then a short training."""

from __future__ import annotations

from dataclasses import dataclass

from nir.recipes.image import SirenImageRecipe


@dataclass(frozen=True, kw_only=True)
class InitializationRecipe(SirenImageRecipe):
    """SIREN section 3.2 and supplement 1.5: activations and gradients at the start.

    The paper's figure follows a deep network; its inputs are uniform in [-1, 1].
    """

    width: int = 2048  # supplement 1.5, figure of activation statistics
    hidden_layers: int = 5
    probe_points: int = 4096  # inputs, uniform in [-1, 1]^2
    histogram_bins: int = 101
    derivatives: bool = False
