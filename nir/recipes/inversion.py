"""Recipe of full-waveform inversion: a medium found from what receivers hear of several sources."""

from __future__ import annotations

from dataclasses import dataclass

from nir.errors import InputError
from nir.recipes.base import at_least
from nir.recipes.field import Activation, FieldRecipe


@dataclass(frozen=True, kw_only=True)
class InversionRecipe(FieldRecipe):
    """SIREN section 4.3, supplement 6; vsitzmann/siren:dataio.py InverseHelmholtz.

    Weights belong to means over points: of the equation over all, of data over receivers.
    """

    steps: int = 80_000
    learning_rate: float = 2e-5
    activation: Activation = "sine"
    wave_number: float = 20.0
    sources: int = 5  # along a line y = -source_reach, x from -source_reach to source_reach
    source_reach: float = 0.347
    source_variance: float = 1e-4
    near_points: int = 500  # of points_per_step, those near the sources
    near_radius: float = 0.05
    points_per_step: int = 13_225  # 115^2
    points_per_chunk: int = 0  # bounds the memory of a step; 0: all points at once
    receivers: int = 30  # along the perimeter of the square of receiver_reach
    receiver_reach: float = 0.4
    known_border: float = 0.75  # beyond, squared slowness is 1
    known_steps: int = 40_000  # first stage: the medium is taken as uniform, and the field told so
    source_weight: float = 1e-3
    data_weight: float = 30.0  # N on a sum over 30 receivers, over N
    layer_width: float = 0.5
    layer_attenuation: float = 5.0
    reference_points: int = 241  # of the grid that the data are computed on, along a side
    compared_points: int = 81

    def check(self, where: str) -> None:
        """Refuse arrangements without sources or receivers, or inside of the absorbing layer."""
        super().check(where)
        at_least(where, 0, points_per_chunk=self.points_per_chunk)
        for key in ("sources", "receivers", "points_per_step"):
            if getattr(self, key) < 1:
                raise InputError(f"{where}.{key}: {getattr(self, key)} is too small")
        for key in ("source_reach", "receiver_reach"):
            if not 0 < getattr(self, key) < 1 - self.layer_width:
                raise InputError(f"{where}.{key}: {getattr(self, key)} lies in the layer")
        if self.near_points > self.points_per_step:
            raise InputError(f"{where}.near_points: more than points_per_step")
