"""Recipe of a signed distance field from an oriented point cloud."""

from __future__ import annotations

from dataclasses import dataclass

from nir.errors import InputError
from nir.recipes.base import at_least
from nir.recipes.field import Activation, FieldRecipe


@dataclass(frozen=True, kw_only=True)
class SignedDistanceRecipe(FieldRecipe):
    """SIREN section 4.2; vsitzmann/siren:experiment_scripts/train_sdf.py, loss_functions.py sdf.

    Weights belong to means over all points of a step, on and off the surface.
    """

    steps: int = 10_000  # the paper counts epochs, each cloud / points_per_step steps
    learning_rate: float = 1e-4
    activation: Activation = "sine"
    gradient_clip: float = 1.0
    points_per_step: int = 1400  # on the surface, and as many off it; the paper's runs 250,000
    points_per_chunk: int = 0  # bounds the memory of a step; 0: all points at once
    cloud_points: int = 500_000  # drawn from a mesh; a cloud is taken as it is
    surface_weight: float = 3e3
    off_surface_weight: float = 1e2  # 3e3 is suggested for ReLU with positional encoding
    normal_weight: float = 1e2
    eikonal_weight: float = 5e1
    mesh_resolution: int = 512  # 1600 in the paper, "512 is enough for inspection"
    # Space reaches beyond SIREN's cube by this much. In the paper by nothing, so that the shape's
    # outermost point lies on the border and its mesh cannot close.
    margin: float = 0.05
    compared_points: int = 100_000  # on each surface, for Chamfer distance and normals
    slice_resolution: int = 128

    def check(self, where: str) -> None:
        """Refuse samplings without points and meshes without cells."""
        super().check(where)
        at_least(where, 0, points_per_chunk=self.points_per_chunk)
        for key in ("points_per_step", "cloud_points", "compared_points"):
            if getattr(self, key) < 1:
                raise InputError(f"{where}.{key}: {getattr(self, key)} is too small")
        if self.margin < 0:
            raise InputError(f"{where}.margin: {self.margin} is negative")
        for key in ("mesh_resolution", "slice_resolution"):
            if getattr(self, key) < 4:
                raise InputError(f"{where}.{key}: {getattr(self, key)} is too small; 4 at least")
