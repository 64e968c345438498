"""Recipe of one shape held in a given number of bytes, as a list or as a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import at_least
from nir.recipes.field import Activation, FieldRecipe


@dataclass(frozen=True, kw_only=True)
class ShapeMemoryRecipe(FieldRecipe):
    """The lecture's comparison; no paper has it. Each size is the largest that fits the bytes."""

    representation: Literal["voxels", "points", "mesh", "network"] = "network"
    budgets: tuple[int, ...] = (4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304)  # bytes
    stored_bits: int = 16  # of a network's numbers; coordinates of points and vertices have 16
    activation: Activation = "sine"  # SIREN section 4.2, that smooth shapes need few weights
    first_omega_0: float = 10.0
    hidden_layers: int = 2
    steps: int = 10_000
    learning_rate: float = 1e-4
    points_per_step: int = 16_384  # DeepSDF's samples a step
    pool_points: int = 500_000  # DeepSDF: src/PreprocessMesh.cpp
    clamp: float = 0.1  # DeepSDF equation 4
    mesh_resolution: int = 256
    resolutions: tuple[int, ...] = (32, 64, 128, 256, 512)  # of meshes of the largest network
    compared_points: int = 100_000  # on each surface, as Occupancy Networks' eval.py
    picture_size: int = 260
    turntable_frames: int = 48  # 0: no film and no GLB

    def check(self, where: str) -> None:
        """Refuse budgets that hold nothing or cannot be told apart, and meshes without cells."""
        super().check(where)
        if not self.budgets or min(self.budgets) < 512:
            raise InputError(f"{where}.budgets: a shape needs 512 bytes at least")
        if len(set(self.budgets)) < len(self.budgets):
            raise InputError(f"{where}.budgets: one is there twice; name each once")
        if self.stored_bits not in (16, 32):
            raise InputError(f"{where}.stored_bits: 16 or 32, not {self.stored_bits}")
        if not self.resolutions:
            raise InputError(f"{where}.resolutions: one at least is needed")
        at_least(where, 4, mesh_resolution=self.mesh_resolution, resolutions=min(self.resolutions))
        at_least(where, 1, points_per_step=self.points_per_step, pool_points=self.pool_points)
