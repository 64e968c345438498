"""Networks have the papers' sizes, start as the papers say, and draw from their generator alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from nir.encodings import Identity, gaussian_features, siren_positional
from nir.networks.mlp import (
    ACTIVATIONS,
    INITIALISATIONS,
    MLP,
    PUBLISHED_INITIALISATION,
    SineLayer,
    parameter_count,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def siren(inputs: int, outputs: int, width: int = 256, seed: int = 0, **options) -> MLP:
    return MLP(
        inputs, outputs, width=width, activation="sine", generator=generator(seed), **options
    )


@pytest.mark.parametrize(
    ("inputs", "outputs", "width", "parameters"),
    [
        pytest.param(2, 1, 256, 198_401, id="image"),
        pytest.param(1, 1, 256, 198_145, id="audio"),
        pytest.param(3, 1, 256, 198_657, id="signed distance"),
        pytest.param(2, 2, 256, 198_658, id="helmholtz"),
        pytest.param(2, 11, 256, 200_971, id="inversion"),
        pytest.param(3, 1, 512, 790_529, id="wave"),
        pytest.param(3, 3, 1024, 3_155_971, id="video"),
        pytest.param(3, 1, 1024, 3_153_921, id="room"),
    ],
)
def test_sirens_have_the_papers_numbers_of_parameters(inputs, outputs, width, parameters):
    assert parameter_count(siren(inputs, outputs, width)) == parameters


@pytest.mark.parametrize(
    ("inputs", "outputs", "hidden_layers", "parameters"),
    [
        pytest.param(2, 3, 2, 133_123, id="image without mapping"),
        pytest.param(512, 3, 2, 263_683, id="image with 256 features"),
        pytest.param(512, 1, 6, 526_337, id="shape with 256 features"),
    ],
)
def test_fourier_networks_have_the_papers_numbers_of_parameters(
    inputs, outputs, hidden_layers, parameters
):
    network = MLP(inputs, outputs, hidden_layers=hidden_layers, generator=generator())
    assert parameter_count(network) == parameters


def test_fixed_features_are_not_counted_as_parameters():
    assert parameter_count(gaussian_features(2, bandwidth=1.0, generator=generator())) == 0
    assert parameter_count(Identity(2)) == parameter_count(siren_positional(2, octaves=7)) == 0


def test_a_network_has_two_more_linear_maps_than_hidden_layers():
    network = MLP(2, 1, hidden_layers=3, generator=generator())
    assert len(network.linear_maps()) == 5
    assert len(network.layers) == 4


def layers_of(network: MLP, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Pre-activations (omega_0 included) and activations of all sine layers."""
    before, after = [], []
    with torch.no_grad():
        for layer in network.layers:
            before.append(layer.omega_0 * F.linear(x, layer.weight, layer.bias))
            x = layer(x)
            after.append(x)
    return before, after


@pytest.fixture(scope="module")
def uniform_points() -> torch.Tensor:
    return torch.rand(2000, 2, generator=generator(9)) * 2 - 1


def test_hidden_preactivations_of_a_siren_are_nearly_standard_normal(uniform_points):
    network = siren(2, 1, width=1024, hidden_layers=4)
    before, _ = layers_of(network, uniform_points)
    for values in before[1:]:
        # biases U(+-1/sqrt(n)), times omega_0, add 30^2 / (3 n) to the variance of 1
        expected = math.sqrt(1 + 30**2 / (3 * 1024))
        assert values.std().item() == pytest.approx(expected, rel=0.05)
        assert abs(values.mean().item()) < 0.1


def test_hidden_preactivations_do_not_drift_with_depth(uniform_points):
    network = siren(2, 1, width=512, hidden_layers=10)
    before, _ = layers_of(network, uniform_points)
    deviations = [values.std().item() for values in before[1:]]
    assert max(deviations) / min(deviations) < 1.1


def test_hidden_activations_of_a_siren_are_arcsine_distributed(uniform_points):
    _, after = layers_of(siren(2, 1, width=1024, hidden_layers=4), uniform_points)
    for values in after[1:]:
        assert values.std().item() == pytest.approx(math.sqrt(0.5), rel=0.05)
        # the arcsine law is |x| < 1/2 with probability 1/3: flat, it would be 1/2
        assert (values.abs() < 0.5).float().mean().item() == pytest.approx(1 / 3, abs=0.06)


def test_the_slides_formula_makes_preactivations_thirty_times_too_large(uniform_points):
    network = siren(2, 1, width=1024, initialisation="siren_slide")
    before, _ = layers_of(network, uniform_points)
    for values in before[1:]:
        assert values.std().item() == pytest.approx(30, rel=0.1)


def test_a_sine_of_unit_frequency_starts_as_the_same_function(uniform_points):
    published = siren(2, 3)
    unit = siren(2, 3, omega_0=1.0, first_omega_0=1.0, initialisation="siren_unit")
    torch.testing.assert_close(
        unit(uniform_points), published(uniform_points), atol=2e-5, rtol=1e-3
    )
    assert torch.equal(unit.last.weight, published.last.weight)


def test_siren_weights_stay_within_the_papers_bounds():
    network = siren(2, 1, width=256)
    first, *hidden = network.linear_maps()
    assert 0.45 < first.weight.abs().max().item() <= 1 / 2
    for linear in hidden:
        bound = math.sqrt(6 / 256) / 30
        assert 0.9 * bound < linear.weight.abs().max().item() <= bound
        assert linear.bias.abs().max().item() <= 1 / math.sqrt(256)


def test_a_sine_layer_is_the_sine_of_omega_times_the_linear_map():
    layer = SineLayer(3, 4, omega_0=30.0).double()
    x = torch.rand(5, 3, generator=generator(), dtype=torch.float64)
    expected = torch.sin(30.0 * F.linear(x, layer.weight, layer.bias))
    torch.testing.assert_close(layer(x), expected)


def test_the_first_layer_has_a_frequency_of_its_own():
    network = siren(1, 1, omega_0=30.0, first_omega_0=3000.0)
    assert [layer.omega_0 for layer in network.layers] == [3000.0, 30.0, 30.0, 30.0]


def test_without_activation_a_network_is_affine():
    network = MLP(2, 1, width=8, activation="none", generator=generator()).double()
    a, b = torch.rand(2, 6, 2, generator=generator(1), dtype=torch.float64)
    torch.testing.assert_close(network((a + b) / 2), (network(a) + network(b)) / 2)


@pytest.mark.parametrize(
    ("output_activation", "low", "high"), [("sigmoid", 0.0, 1.0), ("tanh", -1.0, 1.0)]
)
def test_an_output_activation_bounds_the_values(output_activation, low, high):
    network = MLP(2, 1, width=8, output_activation=output_activation, generator=generator())
    values = network(torch.randn(100, 2, generator=generator(1)) * 1e4)
    assert low <= values.min()
    assert values.max() <= high


EXPECTED_DEVIATIONS = {  # of hidden weights, n = fan-in = fan-out
    "pytorch": lambda n: 1 / math.sqrt(3 * n),
    "kaiming_normal": lambda n: math.sqrt(2 / n),
    "xavier_normal": lambda n: math.sqrt(1 / n),
    "xavier_truncated": lambda n: 0.8796 * math.sqrt(1 / n),  # of a normal cut at two deviations
    "glorot_normal": lambda n: math.sqrt(1 / n),
    "selu_normal": lambda n: 1 / math.sqrt(n),
    "elu_normal": lambda n: math.sqrt(1.5505188080679277) / math.sqrt(n),
    "siren": lambda n: math.sqrt(2 / n) / 30,
    "siren_slide": lambda n: math.sqrt(2 / n),
}


@pytest.mark.parametrize("name", EXPECTED_DEVIATIONS)
def test_hidden_weights_have_the_published_deviation(name):
    activation = "sine" if name.startswith("siren") else "relu"
    network = MLP(
        2, 1, width=400, activation=activation, initialisation=name, generator=generator()
    )
    weights = network.linear_maps()[1].weight
    assert weights.std().item() == pytest.approx(EXPECTED_DEVIATIONS[name](400), rel=0.02)


def test_glorot_normal_counts_both_fans_and_starts_biases_near_zero():
    network = MLP(
        2, 3, width=400, hidden_layers=2, initialisation="glorot_normal", generator=generator()
    )
    assert network.layers[0].weight.std().item() == pytest.approx(math.sqrt(2 / 402), rel=0.05)
    assert network.layers[1].bias.std().item() == pytest.approx(0.01, rel=0.15)


def test_a_truncated_start_stays_within_two_deviations():
    network = MLP(2, 1, width=50, initialisation="xavier_truncated", generator=generator())
    weight = network.layers[1].weight.abs().max().item()
    assert 1.8 * math.sqrt(1 / 50) < weight <= 2 * math.sqrt(1 / 50)


def test_every_activation_has_a_published_initialisation():
    assert {*ACTIVATIONS, "sine"} == set(PUBLISHED_INITIALISATION)
    assert set(PUBLISHED_INITIALISATION.values()) <= set(INITIALISATIONS)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "sine"])
def test_randomness_comes_from_the_generator_alone(activation):
    def weights(seed: int) -> torch.Tensor:
        network = MLP(2, 1, width=8, activation=activation, generator=generator(seed))
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    torch.manual_seed(11)
    first = weights(5)
    torch.manual_seed(12)
    assert torch.equal(first, weights(5))
    assert not torch.equal(first, weights(6))


def test_building_a_network_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    siren(2, 1, width=8)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_network_takes_any_leading_shape():
    network = siren(2, 3, width=8)
    points = torch.rand(4, 5, 2, generator=generator(1))
    torch.testing.assert_close(network(points).reshape(-1, 3), network(points.reshape(-1, 2)))
