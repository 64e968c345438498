"""Recipe of the simplified NeRF: positions only, one pass (Fourier Features, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.field import FieldRecipe, Initialisation


@dataclass(frozen=True, kw_only=True)
class InverseRenderingRecipe(FieldRecipe):
    """3d_simple_nerf: no viewing directions, no hierarchy, black background.

    Frequencies are radians per scene unit here, without 2 pi: the bandwidth 26 means 4.14 cycles.
    The paper prints 5 x 10^5 steps; the notebook whose output is Table 7 ran 5 x 10^4. Without a
    mapping it takes a learning rate of 1e-2, with the basic one 5e-3.
    """

    steps: int = 50_000
    learning_rate: float = 5e-4
    log_every: int = 100
    hidden_layers: int = 2  # "4 layers" with the output: three ReLU layers of 256
    initialisation: Initialisation = "glorot_normal"  # jax.stax.Dense
    bandwidth: float = 26.0
    log2_bandwidth: float = 8.0
    # How the scene is turned before it is encoded: as the paper does (45 degrees about z, then
    # about x), which takes the positional encoding's axes off the scene's; or by chance.
    rotation: Literal["none", "paper", "random"] = "none"
    downscale: int = 1  # of the images; 2 makes 400 x 400 of NeRF's synthetic scenes
    batch_rays: int = 1024
    samples: int = 128
    tested_views: int = 13  # of the test split, evenly spread
    trained_views: int = 100

    def check(self, where: str) -> None:
        """Refuse encodings that have no wave vectors in this task, and empty batches."""
        super().check(where)
        if self.encoding not in ("none", "basic", "positional", "nerf", "gaussian"):
            raise InputError(
                f"{where}.encoding: none, basic, positional, nerf or gaussian is expected here"
            )
        if min(self.downscale, self.batch_rays, self.tested_views, self.trained_views) < 1:
            raise InputError(f"{where}: downscale, batch_rays and views must be at least 1")
        if self.samples < 2:
            raise InputError(f"{where}.samples: at least 2 on a ray")
