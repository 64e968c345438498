"""Recipes of the studies that train many small networks at once, as one ensemble a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import Recipe, at_least


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
class EncodedPlaneRecipe(Recipe):
    """An ensemble on pictures in the plane, behind Gaussian or positional frequencies."""

    learning_rate: float = 1e-3
    encoding: Literal["gaussian", "positional"] = "gaussian"
    features: int = 256
    bandwidth: float = 10.0
    log2_bandwidth: float = 5.0
    resolution: int = 512  # trained on every second row and column
    initialisations: int = 4
    width: int = 256

    def check(self, where: str) -> None:
        """Refuse grids that cannot be halved and empty studies."""
        super().check(where)
        if self.resolution % 2:
            raise InputError(f"{where}.resolution: {self.resolution} must be even")
        at_least(where, 1, initialisations=self.initialisations, width=self.width)
        at_least(where, 2, features=self.features)


@dataclass(frozen=True, kw_only=True)
class PlaneWavesRecipe(EncodedPlaneRecipe):
    """Waves of all directions (Fourier Features figure 11; axis_aligned_ex); all pixels tested."""

    steps: int = 500
    angles: int = 16
    radii: int = 4  # of 5, 10, 15, 20 periods
    period_scale: float = 1.0  # what all frequencies, the waves' too, are multiplied by
    linear_maps: int = 2  # one hidden layer

    def check(self, where: str) -> None:
        """Refuse counts of angles that leave out the axes or the diagonals."""
        super().check(where)
        if self.angles not in (4, 8, 16):
            raise InputError(f"{where}.angles: {self.angles} must be 4, 8 or 16")
        at_least(where, 1, radii=self.radii)


@dataclass(frozen=True, kw_only=True)
class TurnedScenesRecipe(EncodedPlaneRecipe):
    """One scene of edges along the axes, turned by many angles; tested on pixels between.

    Not in the paper, which turns its one scene (section 6.5); networks and scales are those of its
    2D images (2d_image_regression).
    """

    steps: int = 2000
    log2_bandwidth: float = 6.0
    bandwidth_resolution: int = 512  # bandwidths are meant here, and shrink with the resolution
    angles: int = 16  # of those that the subject has, evenly spread
    initialisations: int = 1
    linear_maps: int = 4

    def check(self, where: str) -> None:
        """Refuse a single angle: the turned scenes are compared with the straight one."""
        super().check(where)
        at_least(where, 2, angles=self.angles, linear_maps=self.linear_maps)


@dataclass(frozen=True, kw_only=True)
class SpectrumRecipe(Recipe):
    """Amplitudes of the mapping by power laws, and optimised (Fourier Features figure 5).

    1d_ntk_opt: networks are trained by gradient descent, for which alone the theory holds.
    """

    steps: int = 1000
    learning_rate: float = 5e-3  # of the loss 1/2 mean
    optimiser: Literal["adam", "sgd"] = "sgd"
    alpha: float = 1.0  # of the signals, for which the amplitudes are optimised
    powers: int = 17  # p = linspace(0, 2, 17), and infinity
    frequencies: int = 64
    trained_samples: int = 128
    signals: int = 8
    width: int = 1024
    linear_maps: int = 4
    optimisation_steps: int = 800  # of Adam on the amplitudes, rate 0.01
    optimisation_signals: int = 1024
    optimisation_seed: int = 0

    def check(self, where: str) -> None:
        """Refuse an empty study, and samples that cannot tell the frequencies apart."""
        super().check(where)
        at_least(where, 2, powers=self.powers, linear_maps=self.linear_maps)
        at_least(where, 1, signals=self.signals, optimisation_signals=self.optimisation_signals)
        at_least(where, 2 * self.frequencies, trained_samples=self.trained_samples)
