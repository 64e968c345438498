"""Encodings equal the closed forms of their papers, in the papers' order."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nir.encodings import (
    FourierFeatures,
    Identity,
    RadialBasis,
    basic_features,
    ffn_positional,
    gaussian_features,
    nerf_encoding,
    nerf_paper_encoding,
    nex_encoding,
    nyquist_octaves,
    siren_positional,
)

POINT = [0.3, -0.7, 0.11]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def encoded(encoding: nn.Module, point: list[float] = POINT) -> list[float]:
    return encoding.double()(torch.tensor(point, dtype=torch.float64)).tolist()


def octave_blocks(phase, octaves: int, point: list[float] = POINT) -> list[float]:
    """All components' sines, then all their cosines, octave after octave."""
    features = []
    for j in range(octaves):
        features += [math.sin(phase(j) * v) for v in point]
        features += [math.cos(phase(j) * v) for v in point]
    return features


def test_identity_returns_the_coordinate():
    assert encoded(Identity(3)) == POINT
    assert Identity(3).features == 3


def test_basic_features_turn_once_around_the_circle():
    phases = [2 * math.pi * v for v in POINT]
    expected = [*map(math.sin, phases), *map(math.cos, phases)]
    assert encoded(basic_features(3)) == pytest.approx(expected, abs=1e-6)


def test_nerf_as_printed_has_pi_and_no_raw_coordinate():
    expected = octave_blocks(lambda j: 2**j * math.pi, 4)
    assert encoded(nerf_paper_encoding(3, octaves=4)) == pytest.approx(expected, abs=1e-5)


def test_nerf_as_released_has_the_raw_coordinate_and_no_pi():
    expected = POINT + octave_blocks(lambda j: 2**j, 10)
    assert encoded(nerf_encoding(3, octaves=10)) == pytest.approx(expected, abs=1e-9)


def test_siren_baseline_has_the_raw_coordinate_and_pi():
    expected = POINT + octave_blocks(lambda j: 2**j * math.pi, 5)
    assert encoded(siren_positional(3, octaves=5)) == pytest.approx(expected, abs=1e-5)


def test_fourier_features_positional_has_frequencies_from_zero_to_two_to_s_minus_one():
    count, log2_bandwidth = 12, 5.0
    per_axis = count // 3
    frequencies = [2 ** (log2_bandwidth * j / (per_axis - 1)) - 1 for j in range(per_axis)]
    phases = [2 * math.pi * f * v for f in frequencies for v in POINT]
    expected = [*map(math.sin, phases), *map(math.cos, phases)]
    encoding = ffn_positional(3, count=count, log2_bandwidth=log2_bandwidth)
    assert frequencies[0] == 0
    assert frequencies[-1] == 31
    assert encoded(encoding) == pytest.approx(expected, abs=1e-4)


def test_nex_has_half_pi_and_all_octaves_of_a_coordinate_together():
    phases = [2**j * math.pi / 2 * v for v in POINT for j in range(6)]
    expected = [*map(math.sin, phases), *map(math.cos, phases)]
    assert encoded(nex_encoding(3, octaves=6)) == pytest.approx(expected, abs=1e-5)


def test_gaussian_features_are_sines_then_cosines_of_their_frequencies():
    encoding = gaussian_features(2, count=4, bandwidth=3.0, generator=generator())
    phases = torch.tensor([0.2, 0.9]) @ encoding.wave_vectors.T
    expected = torch.cat([phases.sin(), phases.cos()])
    torch.testing.assert_close(encoding(torch.tensor([0.2, 0.9])), expected)


def test_gaussian_frequencies_have_the_bandwidth_as_deviation():
    encoding = gaussian_features(2, count=20_000, bandwidth=7.0, generator=generator())
    frequencies = encoding.wave_vectors / (2 * math.pi)
    assert frequencies.std().item() == pytest.approx(7.0, rel=0.02)
    assert abs(frequencies.mean().item()) < 0.15


@pytest.mark.parametrize(("octaves", "features"), [(10, 63), (4, 27)])
def test_nerf_has_63_features_of_position_and_27_of_direction(octaves, features):
    encoding = nerf_encoding(3, octaves=octaves)
    assert encoding.features == features
    assert encoding(torch.zeros(2, 3)).shape == (2, features)


ENCODINGS = [
    Identity(2),
    basic_features(2),
    ffn_positional(2, count=16, log2_bandwidth=4.0),
    gaussian_features(2, count=16, bandwidth=4.0, generator=generator()),
    nerf_encoding(2, octaves=3),
    nerf_paper_encoding(2, octaves=3),
    nex_encoding(2, octaves=3),
    siren_positional(2, octaves=3),
    RadialBasis(2, 16, generator=generator()),
]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("leading", [(), (5,), (4, 3), (2, 3, 4)])
def test_any_leading_shape_is_kept(encoding, leading):
    assert encoding(torch.rand(*leading, 2)).shape == (*leading, encoding.features)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda e: type(e).__name__)
def test_a_batch_is_encoded_point_by_point(encoding):
    points = torch.rand(6, 2, generator=generator())
    one_by_one = torch.stack([encoding(point) for point in points])
    torch.testing.assert_close(encoding(points), one_by_one)


WITHOUT_INPUT = [
    basic_features(2),
    ffn_positional(2, count=16, log2_bandwidth=4.0),
    gaussian_features(2, count=16, bandwidth=4.0, generator=generator()),
    nerf_paper_encoding(2, octaves=3),
    nex_encoding(2, octaves=3),
]


@pytest.mark.parametrize("encoding", WITHOUT_INPUT)
@given(shift=st.tuples(st.floats(-2, 2), st.floats(-2, 2)))
@settings(deadline=None, max_examples=20)
def test_the_inner_product_depends_on_the_difference_alone(encoding, shift):
    encoding = encoding.double()
    a, b = torch.rand(2, 9, 2, generator=generator(), dtype=torch.float64)
    moved = torch.tensor(shift, dtype=torch.float64)
    here = (encoding(a) * encoding(b)).sum(-1)
    there = (encoding(a + moved) * encoding(b + moved)).sum(-1)
    torch.testing.assert_close(here, there, atol=1e-9, rtol=0)


@pytest.mark.parametrize("encoding", WITHOUT_INPUT)
def test_every_frequency_is_a_point_on_the_unit_circle(encoding):
    features = encoding(torch.rand(7, 2, generator=generator()).to(encoding.wave_vectors))
    norm = features.square().sum(-1)
    torch.testing.assert_close(norm, torch.full_like(norm, encoding.features / 2))


def test_amplitudes_scale_the_sine_and_the_cosine_of_their_frequency():
    waves, amplitudes = torch.tensor([[1.0], [2.0]]), torch.tensor([0.5, 3.0])
    plain = FourierFeatures(waves)(torch.tensor([[0.4]]))
    scaled = FourierFeatures(waves, amplitudes=amplitudes)(torch.tensor([[0.4]]))
    torch.testing.assert_close(scaled, plain * torch.tensor([0.5, 3.0, 0.5, 3.0]))


def test_frequencies_are_trained_only_if_asked():
    def parameters(trainable: bool) -> int:
        encoding = gaussian_features(
            2, count=8, bandwidth=1.0, generator=generator(), trainable=trainable
        )
        return sum(p.numel() for p in encoding.parameters())

    assert parameters(trainable=False) == 0
    assert parameters(trainable=True) == 16


def test_fixed_frequencies_are_saved_with_the_model():
    encoding = gaussian_features(2, count=8, bandwidth=1.0, generator=generator(1))
    other = gaussian_features(2, count=8, bandwidth=1.0, generator=generator(2))
    other.load_state_dict(encoding.state_dict())
    assert torch.equal(other.wave_vectors, encoding.wave_vectors)


def test_an_encoding_does_not_share_memory_with_the_vectors_given():
    waves = torch.ones(2, 1)
    encoding = FourierFeatures(waves)
    waves.zero_()
    assert encoding.wave_vectors.sum() == 2


def test_radial_basis_functions_are_gaussians_of_the_squared_squared_distance():
    basis = RadialBasis(2, 5, generator=generator()).double()
    points = torch.rand(7, 2, generator=generator(3), dtype=torch.float64)
    with torch.no_grad():
        basis.sigmas.copy_(torch.linspace(0.5, 2.5, 5))
    squared = (points[:, None] - basis.centres).square().sum(-1)
    torch.testing.assert_close(basis(points), torch.exp(-((basis.sigmas * squared) ** 2)))


def test_radial_basis_starts_in_the_square_with_sigma_ten_and_learns_both():
    basis = RadialBasis(2, 1024, generator=generator())
    assert basis.centres.abs().max() <= 1
    assert basis.centres.min() < -0.9
    assert torch.equal(basis.sigmas, torch.full((1024,), 10.0))
    assert sum(p.numel() for p in basis.parameters()) == 1024 * 3


@pytest.mark.parametrize("make", [gaussian_features, RadialBasis])
def test_randomness_comes_from_the_generator_alone(make):
    options = {"count": 9, "bandwidth": 2.0} if make is gaussian_features else {"centres": 9}
    before = torch.random.get_rng_state()
    first = make(2, **options, generator=generator(5)).state_dict()
    again = make(2, **options, generator=generator(5)).state_dict()
    other = make(2, **options, generator=generator(6)).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    name = next(iter(first))
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize(("samples", "octaves"), [(512, 7), (256, 6), (308_207, 16)])
def test_nyquist_octaves_are_those_of_the_paper(samples, octaves):
    assert nyquist_octaves(samples) == octaves
