"""Random signals have the spectrum, and random frequencies the distribution, that they claim."""

from __future__ import annotations

import math

import pytest
import torch

from nir.data import signals
from nir.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_alpha_sets_the_slope_of_the_power_spectrum(alpha):
    drawn = signals.power_law_signals(64, 1024, alpha=alpha, generator=generator())
    assert signals.measured_power_slope(drawn) == pytest.approx(-2 * alpha, abs=0.05)


def test_signals_are_empty_beyond_their_band_limit():
    drawn = signals.power_law_signals(4, 256, alpha=1.0, band_limit=16, generator=generator())
    spectrum = torch.fft.rfft(drawn.double()).abs()
    assert spectrum[:, 16:].max() < 1e-5 * spectrum[:, 1:16].min()


def test_a_finer_grid_keeps_a_band_limited_signal():
    coarse, fine = (
        signals.power_law_signals(2, n, alpha=1.0, band_limit=8, generator=generator(3))
        for n in (32, 128)
    )
    torch.testing.assert_close(fine[:, ::4], coarse)


def test_rescaling_is_joint_and_reaches_both_ends():
    drawn = signals.power_law_signals(4, 128, alpha=1.0, generator=generator())
    scaled = signals.rescale(drawn)
    assert (scaled.min().item(), scaled.max().item()) == (-0.5, 0.5)
    ratios = (scaled[:, 1:] - scaled[:, :-1]) / (drawn[:, 1:] - drawn[:, :-1])
    torch.testing.assert_close(ratios, ratios[0, 0].expand_as(ratios), rtol=1e-2, atol=1e-3)


def power_moments(drawn: torch.Tensor) -> tuple[float, float]:
    """Mean |f_x| and |f_y| weighted by power, mean removed."""
    power = torch.fft.fft2(drawn.double()).abs().square().mean(0)
    power[0, 0] = 0
    axis = torch.fft.fftfreq(drawn.shape[-1], d=1 / drawn.shape[-1]).abs().double()
    total = power.sum()
    return ((power * axis).sum() / total).item(), ((power * axis[:, None]).sum() / total).item()


def test_an_aspect_of_one_is_isotropic_and_larger_ones_flatten_the_second_axis():
    even = signals.anisotropic_signals(16, 64, alpha=1.0, generator=generator())
    along, across = power_moments(even)
    assert along == pytest.approx(across, rel=0.1)
    flat = signals.anisotropic_signals(16, 64, alpha=1.0, aspect=8.0, generator=generator())
    along, across = power_moments(flat)
    assert along > 1.5 * across


def test_a_quarter_turn_exchanges_the_axes_of_anisotropy():
    turned = signals.anisotropic_signals(
        16, 64, alpha=1.0, aspect=8.0, angle=math.pi / 2, generator=generator()
    )
    along, across = power_moments(turned)
    assert across > 1.5 * along


@pytest.mark.parametrize(
    ("family", "bandwidth"),
    [
        ("gaussian", 32.0),
        ("uniform", 64 / math.sqrt(3)),
        ("laplacian", 20 * math.sqrt(2)),
        ("log_uniform", math.sqrt((80.0**2 - 1) / (2 * math.log(80.0)))),
    ],
)
def test_each_family_has_its_own_root_mean_square(family, bandwidth):
    drawn = signals.draw_frequencies(family, scale=1.0, count=40_000, generator=generator())
    assert signals.root_mean_square(drawn).item() == pytest.approx(bandwidth, rel=0.03)


@pytest.mark.parametrize("family", ["gaussian", "uniform", "laplacian", "cauchy"])
def test_scale_multiplies_the_frequencies(family):
    one, four = (
        signals.draw_frequencies(family, scale=s, count=50, generator=generator())
        for s in (1.0, 4.0)
    )
    torch.testing.assert_close(four, 4 * one)


def test_cauchy_has_no_standard_deviation_but_a_median():
    drawn = signals.draw_frequencies("cauchy", scale=1.0, count=100_000, generator=generator())
    assert drawn.abs().median().item() == pytest.approx(20, rel=0.02)
    assert signals.root_mean_square(drawn) > 10 * 20


@pytest.mark.parametrize("family", list(signals.FREQUENCY_FAMILIES))
def test_families_are_isotropic_in_two_dimensions(family):
    drawn = signals.draw_frequencies(
        family, scale=1.0, count=20_000, dimensions=2, generator=generator()
    )
    directions = drawn / drawn.norm(dim=-1, keepdim=True)
    second_moments = directions.T @ directions / len(drawn)
    torch.testing.assert_close(second_moments, torch.eye(2) / 2, atol=0.02, rtol=0)


def test_axis_factors_stretch_each_axis():
    plain, stretched = (
        signals.draw_frequencies(
            "gaussian", scale=1.0, dimensions=2, axis_factors=f, generator=generator()
        )
        for f in (None, (1.0, 0.25))
    )
    torch.testing.assert_close(stretched, plain * torch.tensor([1.0, 0.25]))


def test_amplitudes_have_unit_length_and_flatten_as_p_falls():
    tails = []
    for p in (0.0, 0.5, 1.0, 2.0, math.inf):
        _, amplitudes = signals.power_law_amplitudes(16, p)
        assert amplitudes.norm().item() == pytest.approx(1)
        tails.append(amplitudes[-1].item())
    assert tails == sorted(tails, reverse=True)


def test_an_unknown_family_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'laplacian'"):
        signals.draw_frequencies("laplace", scale=1.0, generator=generator())
