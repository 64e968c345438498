"""Kernels: positive, stationary behind features, the limit of wide networks, and their spectra."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from nir.data.signals import power_law_amplitudes
from nir.encodings import FourierFeatures, basic_features, gaussian_features
from nir.errors import InputError
from nir.kernels import (
    ReluNetwork,
    arc_cosine_0,
    arc_cosine_1,
    composed,
    departure_from_stationarity,
    empirical_ntk,
    gaussian_features_limit,
    parameter_jacobian,
)

HE = ReluNetwork(linear_maps=4, weight_std=math.sqrt(2), parameterisation="ntk")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_inputs(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


class ScaledLinear(nn.Module):
    """A linear map in the NTK parameterisation, all parameters N(0, 1)."""

    def __init__(self, inputs: int, outputs: int, weight_std: float, bias_std: float, g) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, generator=g))
        self.bias = nn.Parameter(torch.randn(outputs, generator=g))
        self.weight_scale, self.bias_scale = weight_std / math.sqrt(inputs), bias_std

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight * self.weight_scale, self.bias * self.bias_scale)


def finite_network(analytic: ReluNetwork, inputs: int, g: torch.Generator) -> nn.Sequential:
    sizes = [inputs] + [analytic.width] * (analytic.linear_maps - 1) + [1]
    layers: list[nn.Module] = []
    for i, o in itertools.pairwise(sizes):
        layer: nn.Module = ScaledLinear(i, o, analytic.weight_std, analytic.bias_std, g)
        if analytic.parameterisation == "standard":
            layer = nn.Linear(i, o)
            nn.init.normal_(layer.weight, std=analytic.weight_std / math.sqrt(i), generator=g)
            nn.init.normal_(layer.bias, std=analytic.bias_std, generator=g)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def mean_empirical(analytic: ReluNetwork, x: torch.Tensor, draws: int) -> torch.Tensor:
    kernels = [
        empirical_ntk(finite_network(analytic, x.shape[1], generator(s)), x, points_at_once=4)
        for s in range(draws)
    ]
    return torch.stack(kernels).mean(0).double()


def relative_error(kernel: torch.Tensor, exact: torch.Tensor) -> float:
    return ((kernel - exact).norm() / exact.norm()).item()


# ---- the recursion ------------------------------------------------------------------------------


def test_arc_cosine_functions_are_the_moments_of_a_rectified_gaussian():
    u = 0.6
    a = torch.randn(400_000, generator=generator(1), dtype=torch.float64)
    b = u * a + math.sqrt(1 - u * u) * torch.randn(400_000, generator=generator(2)).double()
    cosine = torch.tensor(u, dtype=torch.float64)
    slopes = 2 * ((a > 0) & (b > 0)).double().mean()
    activations = 2 * (a.relu() * b.relu()).mean()
    assert slopes.item() == pytest.approx(arc_cosine_0(cosine).item(), abs=5e-3)
    assert activations.item() == pytest.approx(arc_cosine_1(cosine).item(), abs=5e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_at_and_beyond_the_ends(dtype):
    cosine = torch.tensor([-1.0 - 1e-6, -1.0, 1.0, 1.0 + 1e-6], dtype=dtype, requires_grad=True)
    (arc_cosine_0(cosine) + arc_cosine_1(cosine)).sum().backward()
    assert torch.isfinite(cosine.grad).all()


def test_the_derivative_of_kappa_1_is_kappa_0():
    cosine = torch.linspace(-0.99, 0.99, 21, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(arc_cosine_1(cosine).sum(), cosine)
    torch.testing.assert_close(slope, arc_cosine_0(cosine.detach()))


@pytest.mark.parametrize("analytic", [HE, ReluNetwork(width=64, bias_std=0.3)])
def test_kernels_are_symmetric_and_positive_semidefinite(analytic):
    x = random_inputs(30, 3)
    for kernel in (analytic.nngp(x, x), analytic.ntk(x, x)):
        torch.testing.assert_close(kernel, kernel.T)
        values = torch.linalg.eigvalsh(kernel)
        assert values[0] > -1e-10 * values[-1]


@pytest.mark.parametrize("linear_maps", [1, 2, 4, 7])
def test_the_diagonal_counts_the_linear_maps_for_he_weights_and_unit_inputs(linear_maps):
    analytic = ReluNetwork(linear_maps=linear_maps, weight_std=math.sqrt(2), parameterisation="ntk")
    x = nn.functional.normalize(random_inputs(5, 4), dim=-1)
    diagonal = analytic.ntk(x, x).diagonal()
    expected = torch.full_like(diagonal, linear_maps * 2 / 4)  # 2 / d from the first layer
    torch.testing.assert_close(diagonal, expected)


def test_unit_inputs_follow_the_closed_form():
    u = torch.linspace(-1, 1, 9, dtype=torch.float64)
    sigma, theta = u, u
    for _ in range(3):
        theta = theta * arc_cosine_0(sigma) + arc_cosine_1(sigma)
        sigma = arc_cosine_1(sigma)
    torch.testing.assert_close(HE.ntk_of_cosine(u, inputs=2), theta)


def test_each_relu_halves_the_variance_of_unit_weights():
    x = random_inputs(4, 3)
    for linear_maps in (1, 2, 3, 4):
        variance = ReluNetwork(linear_maps=linear_maps).nngp(x, x).diagonal()
        expected = x.square().sum(-1) / 3 / 2 ** (linear_maps - 1)
        torch.testing.assert_close(variance, expected)


def test_without_biases_the_kernel_scales_with_the_inputs():
    analytic = ReluNetwork(width=50, biases=False)
    x, y = random_inputs(4, 3), random_inputs(5, 3, seed=1)
    torch.testing.assert_close(analytic.ntk(3 * x, 2 * y), 6 * analytic.ntk(x, y))


def test_standard_and_ntk_parameterisation_share_the_nngp():
    x = random_inputs(6, 3)
    standard = ReluNetwork(width=99, bias_std=0.2)
    other = ReluNetwork(width=None, bias_std=0.2, parameterisation="ntk")
    torch.testing.assert_close(standard.nngp(x, x), other.nngp(x, x))


def test_gradients_with_respect_to_inputs_are_finite_on_the_diagonal_and_at_zero():
    x = torch.cat([random_inputs(4, 3), torch.zeros(1, 3, dtype=torch.float64)]).requires_grad_()
    ReluNetwork(width=16).ntk(x, x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_impossible_networks_are_refused():
    with pytest.raises(InputError, match="width"):
        ReluNetwork(width=None)
    with pytest.raises(InputError, match="linear_maps"):
        ReluNetwork(linear_maps=0)


# ---- agreement with finite networks -------------------------------------------------------------


def test_the_jacobian_holds_every_parameters_derivative():
    network = finite_network(ReluNetwork(width=8), 2, generator())
    x = torch.randn(5, 2, generator=generator(1))
    jacobian = parameter_jacobian(network, x)
    for row, point in zip(jacobian, x, strict=True):
        network.zero_grad()
        network(point).backward()
        expected = torch.cat([p.grad.flatten() for p in network.parameters()])
        torch.testing.assert_close(row[0], expected)


def test_the_empirical_kernel_does_not_depend_on_the_grouping_of_points():
    network = finite_network(ReluNetwork(width=16), 2, generator())
    x, y = (torch.randn(n, 2, generator=generator(n)) for n in (7, 5))
    jx, jy = (parameter_jacobian(network, z)[:, 0] for z in (x, y))
    torch.testing.assert_close(empirical_ntk(network, x, y, points_at_once=3), jx @ jy.T)
    torch.testing.assert_close(empirical_ntk(network, x, points_at_once=2), jx @ jx.T)


def test_frozen_parameters_are_no_part_of_the_kernel():
    network = finite_network(ReluNetwork(width=16), 2, generator())
    network[0].requires_grad_(False)
    x = torch.randn(3, 2, generator=generator(1))
    partial = parameter_jacobian(network, x)
    assert partial.shape[-1] == sum(p.numel() for p in network[1:].parameters())
    torch.testing.assert_close(empirical_ntk(network, x), partial[:, 0] @ partial[:, 0].T)


@pytest.mark.parametrize(
    "analytic",
    [
        ReluNetwork(linear_maps=3, width=512),
        ReluNetwork(linear_maps=3, width=512, weight_std=math.sqrt(2), bias_std=0.5),
        ReluNetwork(linear_maps=3, width=512, weight_std=1.3, bias_std=0.5, parameterisation="ntk"),
    ],
)
def test_the_empirical_kernel_averages_to_the_analytic_one(analytic):
    x = torch.randn(5, 3, generator=generator(7))
    exact = analytic.ntk(x.double(), x.double())
    assert relative_error(mean_empirical(analytic, x, draws=24), exact) < 0.05


def test_the_covariance_of_outputs_averages_to_the_nngp():
    analytic = ReluNetwork(linear_maps=3, width=128, weight_std=math.sqrt(2), bias_std=0.5)
    x = torch.randn(4, 3, generator=generator(7))
    with torch.no_grad():
        outputs = torch.stack(
            [finite_network(analytic, 3, generator(s))(x)[:, 0] for s in range(2000)]
        ).double()
    exact = analytic.nngp(x.double(), x.double())
    assert relative_error(outputs.T @ outputs / len(outputs), exact) < 0.1


def test_the_difference_shrinks_with_the_root_of_the_width():
    x = basic_features(1)(torch.arange(8)[:, None] / 8)

    def typical_error(width: int) -> float:
        analytic = ReluNetwork(linear_maps=3, width=width)
        exact = analytic.ntk(x.double(), x.double())
        errors = [
            relative_error(
                empirical_ntk(finite_network(analytic, 2, generator(s)), x).double(), exact
            )
            for s in range(12)
        ]
        return sum(errors) / len(errors)

    ratio = typical_error(64) / typical_error(576)  # nine times the width: a third of the error
    assert 2 < ratio < 4.5


@pytest.mark.slow
def test_at_width_4096_the_kernels_agree_to_two_percent():
    analytic = ReluNetwork(linear_maps=4, width=4096)
    x = basic_features(1)(torch.arange(8)[:, None] / 8)
    exact = analytic.ntk(x.double(), x.double())
    # One network scatters by about 4 / sqrt(width) = 6 percent round the limit; the mean of 16
    # initialisations shows whether it is the right limit.
    assert relative_error(mean_empirical(analytic, x, draws=16), exact) < 0.02


# ---- encodings and stationarity -----------------------------------------------------------------


def test_behind_fourier_features_the_kernel_depends_on_differences_only():
    encoding = gaussian_features(2, count=32, bandwidth=3.0, generator=generator()).double()
    coordinates = torch.rand(10, 2, generator=generator(1), dtype=torch.float64)
    shifts = torch.rand(4, 2, generator=generator(2), dtype=torch.float64)
    network = ReluNetwork(width=128)
    mapped = departure_from_stationarity(composed(network.ntk, encoding), coordinates, shifts)
    plain = departure_from_stationarity(network.ntk, coordinates, shifts)
    assert mapped.max() < 1e-7  # arccos turns rounding of 1e-16 near u = 1 into 1e-8
    assert plain.min() > 0.05


def test_without_a_mapping_the_kernel_is_rotation_invariant():
    angle = 0.8
    rotation = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    ).double()
    x = random_inputs(6, 2)
    torch.testing.assert_close(HE.ntk(x @ rotation.T, x @ rotation.T), HE.ntk(x, x))


def test_basic_mapping_makes_the_kernel_of_a_regular_grid_circulant():
    coordinates = torch.arange(8, dtype=torch.float64)[:, None] / 8
    kernel = composed(ReluNetwork(width=32).ntk, basic_features(1).double())
    matrix = kernel(coordinates, coordinates)
    for row in range(8):
        torch.testing.assert_close(matrix[row], matrix[0].roll(row), rtol=1e-6, atol=0)


def test_many_gaussian_features_reach_their_limit():
    network = ReluNetwork(width=64)
    coordinates = torch.rand(12, 2, generator=generator(1), dtype=torch.float64)
    count = 20_000
    encoding = gaussian_features(2, count=count, bandwidth=1.0, generator=generator()).double()
    finite = composed(network.ntk, encoding)(coordinates, coordinates)
    limit = gaussian_features_limit(network, 1.0, features=2 * count)(coordinates, coordinates)
    assert relative_error(finite, limit) < 0.02


def test_amplitudes_enter_the_kernel_squared():
    frequencies, amplitudes = power_law_amplitudes(4, 1.0)
    encoding = FourierFeatures(2 * math.pi * frequencies, amplitudes=amplitudes)
    v, w = torch.rand(2, 5, 1, generator=generator())
    products = (encoding(v) * encoding(w)).sum(-1)
    expected = (amplitudes**2 * torch.cos(2 * math.pi * (v - w) * frequencies.T)).sum(-1)
    torch.testing.assert_close(products, expected)
