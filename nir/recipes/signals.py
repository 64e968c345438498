"""Recipes of the studies that train many small networks at once, as one ensemble a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import Recipe


@dataclass(frozen=True, kw_only=True)
class SignalsRecipe(Recipe):
    """Which frequencies suit a signal (Fourier Features figures 4, 9, 13; 1d_scatter_plots).

    One network for each family of frequency distributions, scale and signal, all trained together.
    Signals have one dimension or two.
    """

    steps: int = 1000
    learning_rate: float = 2e-3  # of the loss 1/2 sum
    log_every: int = 50
    families: tuple[str, ...] = ("gaussian", "uniform", "log_uniform", "laplacian")
    heavy_tailed: tuple[str, ...] = ()  # families left out of the common curve; not in the paper
    stretched_aspect: float = 0.0  # 2-D: adds Gaussians so many times narrower along y; 0: none
    scales: int = 9  # 2^linspace(-5, 4, 9)
    lowest_log2_scale: float = -5.0
    highest_log2_scale: float = 4.0
    signals: int = 4
    trained_samples: int = 1024  # along each axis; as many lie between and are tested
    frequencies: int = 16
    dense_frequencies: int = 512  # of the reference, 1 ... 512; 0: none
    dense_power: float = 0.75  # amplitudes b^-power: 0.4, 0.75, 1.5 for alpha 0.5, 1, 1.5
    width: int = 256
    linear_maps: int = 4

    def check(self, where: str) -> None:
        """Refuse an empty study."""
        super().check(where)
        if not self.families or min(self.scales - 1, self.signals, self.frequencies) < 1:
            raise InputError(f"{where}: a family, a signal, a frequency and 2 scales are needed")
        if self.linear_maps < 2:
            raise InputError(f"{where}.linear_maps: {self.linear_maps} is too few; 2 or more")


@dataclass(frozen=True, kw_only=True)
class StationarityRecipe(Recipe):
    """A bump at 40 places (Fourier Features figure 14; toy_stationary_ex)."""

    steps: int = 500
    learning_rate: float = 1e-4
    mapping: Literal["none", "basic"] = "none"
    initialisations: int = 20
    centres: int = 40  # of those that the subject has
    points: int = 256
    width: int = 256
    linear_maps: int = 4

    def check(self, where: str) -> None:
        """Refuse an empty study."""
        super().check(where)
        if min(self.initialisations, self.points) < 1 or self.centres < 2:
            raise InputError(f"{where}: an initialisation, a point and two centres are needed")


@dataclass(frozen=True, kw_only=True)
class PlaneWavesRecipe(Recipe):
    """Waves of all directions (Fourier Features figure 11; axis_aligned_ex)."""

    steps: int = 500
    learning_rate: float = 1e-3
    encoding: Literal["gaussian", "positional"] = "gaussian"
    features: int = 256
    bandwidth: float = 10.0
    log2_bandwidth: float = 5.0
    resolution: int = 512  # trained on every second row and column, tested on all
    angles: int = 16
    radii: int = 4  # of 5, 10, 15, 20 periods
    period_scale: float = 1.0  # what all frequencies, the waves' too, are multiplied by
    initialisations: int = 4
    width: int = 256
    linear_maps: int = 2  # one hidden layer

    def check(self, where: str) -> None:
        """Refuse grids that cannot be halved and empty studies."""
        super().check(where)
        if self.resolution % 2:
            raise InputError(f"{where}.resolution: {self.resolution} must be even")
        if self.angles not in (4, 8, 16):
            raise InputError(f"{where}.angles: {self.angles} must be 4, 8 or 16")
        if min(self.radii, self.initialisations) < 1:
            raise InputError(f"{where}: radii and initialisations must be at least 1")
