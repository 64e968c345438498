"""Recipes of fields that solve differential equations: the wave and the Helmholtz equation.

The authors' code sums over points; these weights belong to means over points, which is the same up
to one common factor (Adam does not see it) and holds for any number of points.
"""

from __future__ import annotations

from dataclasses import dataclass

from nir.errors import InputError
from nir.recipes.base import at_least
from nir.recipes.field import Activation, FieldRecipe


@dataclass(frozen=True, kw_only=True)
class WaveRecipe(FieldRecipe):
    """SIREN section 4.3; vsitzmann/siren:dataio.py WaveSource, loss_functions.py wave_pml."""

    steps: int = 100_000
    learning_rate: float = 2e-5
    activation: Activation = "sine"
    width: int = 512
    points_per_step: int = 115_600  # 340^2
    initial_points: int = 2000  # of these, those at t = 0
    near_points: int = 1000  # of the initial ones, those within near_radius of the source
    near_radius: float = 0.25
    later_near_points: int = 0  # of the others, at t > 0, those within near_radius; paper: none
    final_time: float = 0.4
    window_steps: int = 100_000  # times grow linearly from 0 to final_time over so many steps
    source_centre: tuple[float, ...] = (0.0, 0.0)
    source_variance: float = 5e-4
    source_peak: float = 0.02  # 1 / 50
    initial_weight: float = 200.0  # on a mean over initial points: N / 10 on their sum, 2000 of N
    velocity_weight: float = 20.0  # likewise N / 100
    points_per_chunk: int = 0  # bounds the memory of a step; 0: all points at once
    compared_points: int = 101  # of the grid that is compared, along a side
    compared_times: int = 21

    def check(self, where: str) -> None:
        """Refuse samplings that leave no points for the equation."""
        super().check(where)
        at_least(where, 0, points_per_chunk=self.points_per_chunk)
        _check_positive(
            self, where, "final_time", "source_variance", "source_peak", "points_per_step"
        )
        _check_positive(self, where, "window_steps", "initial_points", "near_radius")
        _check_centre(self.source_centre, where)
        at_least(where, 0, later_near_points=self.later_near_points)
        if self.later_near_points > self.points_per_step - self.initial_points:
            raise InputError(
                f"{where}.later_near_points: more than points_per_step leaves at t > 0"
            )
        if not self.near_points <= self.initial_points <= self.points_per_step:
            raise InputError(
                f"{where}.initial_points: {self.initial_points} is not between near_points and "
                "points_per_step"
            )


@dataclass(frozen=True, kw_only=True)
class HelmholtzRecipe(FieldRecipe):
    """SIREN section 4.3; vsitzmann/siren:dataio.py SingleHelmholtzSource, helmholtz_pml."""

    steps: int = 50_000
    learning_rate: float = 2e-5
    activation: Activation = "sine"
    wave_number: float = 20.0
    points_per_step: int = 52_900  # 230^2
    near_points: int = 100  # of these, those within near_radius of the source
    near_radius: float = 0.05
    source_centre: tuple[float, ...] = (0.0, 0.0)
    source_variance: float = 1e-4
    source_weight: float = 1e-3  # on the sum of residuals within the source: N / 1e3 of N
    layer_width: float = 0.5
    layer_attenuation: float = 5.0
    points_per_chunk: int = 0  # bounds the memory of a step; 0: all points at once
    compared_points: int = 161  # of the grid of the reference solution, along a side

    def check(self, where: str) -> None:
        """Refuse a source without extent and a layer that fills the square."""
        super().check(where)
        at_least(where, 0, points_per_chunk=self.points_per_chunk)
        _check_positive(
            self, where, "wave_number", "source_variance", "points_per_step", "near_radius"
        )
        _check_centre(self.source_centre, where)
        if not 0 <= self.layer_width < 1:
            raise InputError(f"{where}.layer_width: {self.layer_width} is not in [0, 1)")
        if self.near_points > self.points_per_step:
            raise InputError(f"{where}.near_points: more than points_per_step")


def _check_positive(recipe: FieldRecipe, where: str, *keys: str) -> None:
    for key in keys:
        if getattr(recipe, key) <= 0:
            raise InputError(f"{where}.{key}: {getattr(recipe, key)} must be positive")


def _check_centre(centre: tuple[float, ...], where: str) -> None:
    if len(centre) != 2 or max(abs(c) for c in centre) >= 1:
        raise InputError(
            f"{where}.source_centre: two coordinates inside of [-1, 1] are expected, not {centre}"
        )
