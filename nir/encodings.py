"""Encodings: what is done to a coordinate before the network sees it.

A coordinate v has `dimensions` components. An encoding is a set of wave vectors k (radians per
unit of coordinate) with amplitudes a; it maps v to a sin(k.v) and a cos(k.v). *Frequency* always
means cycles per unit, so k = 2 pi b; *bandwidth* is the standard deviation sigma of b.

"Positional encoding" names four different things in the literature; each is a function here:

=====================  ===========================  =============  =========================
function               phase                        raw input      order
=====================  ===========================  =============  =========================
`nerf_paper_encoding`  2^j pi v                     no             sin, cos for each octave
`nerf_encoding`        2^j v                        first          sin, cos for each octave
`siren_positional`     2^j pi v                     first          sin, cos for each octave
`ffn_positional`       2 pi (2^(s j/(n-1)) - 1) v   no             all sines, all cosines
`nex_encoding`         2^j (pi/2) v                 no             all sines, all cosines
=====================  ===========================  =============  =========================

Sources: NeRF eq. 4 and bmild/nerf:run_nerf_helpers.py (the code drops pi since scenes exceed
[-1, 1]); vsitzmann/siren:modules.py; tancik/fourier-feature-networks:Experiments; nex-code:utils.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F


class Identity(nn.Module):
    """The coordinate itself."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = self.features = dimensions

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """Return `coordinates` unchanged."""
        return coordinates


class FourierFeatures(nn.Module):
    """gamma(v) = [a sin(k.v), a cos(k.v)], with the raw coordinate in front if asked.

    Fourier Features eq. 5. With `octave_blocks` the features of `dimensions` neighbouring wave
    vectors (one octave) stand together as sines, cosines, which is NeRF's order; otherwise all
    sines come before all cosines.
    """

    def __init__(
        self,
        wave_vectors: Float[Tensor, "m d"],
        *,
        amplitudes: Float[Tensor, " m"] | None = None,
        include_input: bool = False,
        octave_blocks: bool = False,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        count, self.dimensions = wave_vectors.shape
        self.include_input = include_input
        self.features = 2 * count + (self.dimensions if include_input else 0)
        wave_vectors = wave_vectors.clone()
        if trainable:
            self.wave_vectors = nn.Parameter(wave_vectors)
        else:
            self.register_buffer("wave_vectors", wave_vectors)
        doubled = None if amplitudes is None else torch.cat([amplitudes, amplitudes])
        self.register_buffer("amplitudes", doubled)
        self.octave_blocks = octave_blocks

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch features"]:
        """Encode coordinates of any leading shape."""
        phases = F.linear(coordinates, self.wave_vectors)
        sines, cosines = torch.sin(phases), torch.cos(phases)
        if self.amplitudes is not None:
            halves = self.amplitudes.chunk(2)
            sines, cosines = sines * halves[0], cosines * halves[1]
        if self.octave_blocks:
            octaves = (wave.unflatten(-1, (-1, self.dimensions)) for wave in (sines, cosines))
            encoded = torch.stack(list(octaves), dim=-2).flatten(-3)
        else:
            encoded = torch.cat([sines, cosines], dim=-1)
        return torch.cat([coordinates, encoded], dim=-1) if self.include_input else encoded


class RadialBasis(nn.Module):
    """exp(-(sigma |v - c|^2)^2) at trainable centres c: SIREN's RBF baseline.

    Centres start uniform in [-1, 1], sigma at 10 (vsitzmann/siren:modules.py RBFLayer, whose
    squared *squared* distance is kept).
    """

    def __init__(self, dimensions: int, centres: int = 1024, *, generator: Generator) -> None:
        super().__init__()
        self.dimensions, self.features = dimensions, centres
        self.centres = nn.Parameter(torch.rand(centres, dimensions, generator=generator) * 2 - 1)
        self.sigmas = nn.Parameter(torch.full((centres,), 10.0))

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch centres"]:
        """Evaluate every radial function.

        sigma |v - c|^2 is one linear map of (v, |v|^2), so that no [N, centres, d] is made.
        """
        squared = torch.sum(coordinates * coordinates, dim=-1, keepdim=True)
        weight = torch.cat([self.centres * -2, torch.ones_like(self.centres[:, :1])], dim=1)
        offset = (self.centres * self.centres).sum(-1)
        lifted = torch.cat([coordinates, squared], dim=-1)
        scaled = F.linear(lifted, weight * self.sigmas[:, None], offset * self.sigmas)
        return torch.exp(-(scaled * scaled))


def _per_axis(wave_numbers: Float[Tensor, " n"], dimensions: int) -> Float[Tensor, "nd d"]:
    """One wave vector along each axis for each wave number, octave after octave."""
    return torch.kron(wave_numbers[:, None], torch.eye(dimensions))


def basic_features(dimensions: int) -> FourierFeatures:
    """[sin 2 pi v, cos 2 pi v]: one turn round the circle (Fourier Features, section 6)."""
    return FourierFeatures(2 * math.pi * torch.eye(dimensions))


def gaussian_features(
    dimensions: int,
    *,
    count: int = 256,
    bandwidth: float,
    generator: Generator,
    trainable: bool = False,
) -> FourierFeatures:
    """Random frequencies b ~ N(0, bandwidth^2), `count` of them (Fourier Features, section 6).

    Features depend on `count` and the generator alone; another bandwidth stretches the same draw.
    """
    frequencies = torch.randn(count, dimensions, generator=generator) * bandwidth
    return FourierFeatures(2 * math.pi * frequencies, trainable=trainable)


def ffn_positional(
    dimensions: int, *, count: int = 256, log2_bandwidth: float, frequency_scale: float = 1.0
) -> FourierFeatures:
    """Fourier Features' positional encoding: count // d log-spaced frequencies per axis.

    The released code has frequencies 2^linspace(0, s, n) - 1, hence 0 as the lowest and 2^s - 1 as
    the highest, and not powers of two (Experiments notebooks, "posenc_new"). All of them are
    multiplied by `frequency_scale`, for signals with fewer samples than the paper's.
    """
    per_axis = count // dimensions
    frequencies = (2 ** torch.linspace(0, log2_bandwidth, per_axis) - 1) * frequency_scale
    return FourierFeatures(2 * math.pi * _per_axis(frequencies, dimensions))


def _octaves(count: int, unit: float) -> Float[Tensor, " n"]:
    return unit * 2.0 ** torch.arange(count)


def nerf_paper_encoding(dimensions: int, *, octaves: int = 10) -> FourierFeatures:
    """NeRF eq. 4 as printed: sin(2^j pi v), cos(2^j pi v).

    >>> encoding = nerf_paper_encoding(1, octaves=3)
    >>> [round(v, 3) for v in encoding(torch.tensor([0.125]))[::2].tolist()]
    [0.383, 0.707, 1.0]
    """
    waves = _per_axis(_octaves(octaves, math.pi), dimensions)
    return FourierFeatures(waves, octave_blocks=True)


def nerf_encoding(dimensions: int, *, octaves: int = 10) -> FourierFeatures:
    """NeRF's code: the raw coordinate, then sin(2^j v), cos(2^j v) without pi."""
    waves = _per_axis(_octaves(octaves, 1.0), dimensions)
    return FourierFeatures(waves, include_input=True, octave_blocks=True)


def siren_positional(dimensions: int, *, octaves: int) -> FourierFeatures:
    """SIREN's "ReLU P.E." baseline: the raw coordinate, then sin(2^j pi v), cos(2^j pi v)."""
    waves = _per_axis(_octaves(octaves, math.pi), dimensions)
    return FourierFeatures(waves, include_input=True, octave_blocks=True)


def nyquist_octaves(samples: int) -> int:
    """How many octaves a signal of `samples` points per axis supports: floor(log2(samples / 4)).

    At least one.

    vsitzmann/siren:modules.py PosEncodingNeRF.

    >>> [nyquist_octaves(n) for n in (512, 256, 308_207)]
    [7, 6, 16]
    """
    return max(int(math.log2(samples / 4)), 1)


def nex_encoding(dimensions: int, *, octaves: int) -> FourierFeatures:
    """NeX: sin and cos of 2^j (pi/2) u, all octaves of one coordinate before the next."""
    octave_waves = _octaves(octaves, math.pi / 2)
    return FourierFeatures(torch.kron(torch.eye(dimensions), octave_waves[:, None]))
