"""Recipe of a shape held as occupancy by one coordinate network (Fourier Features, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

from nir.errors import InputError
from nir.recipes.field import FieldRecipe, Initialisation


@dataclass(frozen=True, kw_only=True)
class OccupancyFieldRecipe(FieldRecipe):
    """3d_shape_occupancy: is a point inside? Scales were chosen on one more mesh, lucy."""

    steps: int = 10_000
    learning_rate: float = 5e-4  # every mapping
    learning_rate_decay: float = 0.01  # 0.1 ** (step / 5000), 10,000 steps
    hidden_layers: int = 6  # "8 layers" with the output
    initialisation: Initialisation = "glorot_normal"  # jax.stax.Dense
    bandwidth: float = 12.0
    log2_bandwidth: float = 6.0
    batch_points: int = 32**3
    pool_points: int = 0  # drawn once and batches from them; 0: fresh points at every step
    tested_points: int = 2**18  # uniform, and as many near the surface
    near_deviation: float = 0.01  # "hard" points: surface points + N(0, 0.01^2)
    section_resolution: int = 128  # of the cross-section that figures show

    def check(self, where: str) -> None:
        """Refuse batches and tests without points."""
        super().check(where)
        if min(self.batch_points, self.tested_points, self.section_resolution) < 1:
            raise InputError(f"{where}: batches, tests and the section need points")
        if self.pool_points < 0 or self.near_deviation <= 0:
            raise InputError(f"{where}: pool_points ≥ 0 and near_deviation > 0 are needed")
