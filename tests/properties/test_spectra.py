"""Spectra of kernels, and the training that they predict, against training itself."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call

from nir.data.signals import power_law_amplitudes, power_law_signals, rescale
from nir.encodings import FourierFeatures, basic_features
from nir.errors import InputError
from nir.kernels import ReluNetwork, composed, empirical_ntk, parameter_jacobian
from nir.spectra import (
    circulant_eigenvalues,
    eigenvalues,
    fourier_bin_errors,
    kernel_row,
    predict_periodic_signal,
    predict_training,
    relative_spectrum,
    spectral_bandwidth,
)

NETWORK = ReluNetwork(width=256)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(n: int) -> torch.Tensor:
    return torch.arange(n, dtype=torch.float64)[:, None] / n


def power_law_kernel(p: float):
    frequencies, amplitudes = power_law_amplitudes(16, p)
    encoding = FourierFeatures(2 * math.pi * frequencies, amplitudes=amplitudes)
    return composed(NETWORK.ntk, encoding.double())


def signal(n: int, seed: int = 0) -> torch.Tensor:
    drawn = power_law_signals(1, n, alpha=1.0, generator=generator(seed))
    return rescale(drawn)[0].double()[:, None]


# ---- spectra ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [32, 33])
def test_eigenvalues_of_a_circulant_kernel_are_its_rows_fourier_transform(n):
    kernel = composed(NETWORK.ntk, basic_features(1).double())
    row = kernel_row(kernel, grid(n))
    by_fourier = circulant_eigenvalues(row).sort(descending=True).values
    exact = eigenvalues(kernel(grid(n), grid(n)))
    torch.testing.assert_close(by_fourier, exact, rtol=1e-6, atol=1e-6 * exact[0].item())


def test_a_two_dimensional_periodic_grid_has_the_two_dimensional_transform():
    axis = torch.arange(6, dtype=torch.float64) / 6
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    kernel = composed(NETWORK.ntk, basic_features(2).double())
    row = kernel_row(kernel, points).reshape(6, 6)
    by_fourier = circulant_eigenvalues(row).flatten().sort(descending=True).values
    exact = eigenvalues(kernel(points, points))
    torch.testing.assert_close(by_fourier, exact, rtol=1e-6, atol=1e-6 * exact[0].item())


def test_spectra_widen_as_p_decreases():
    widths = [
        spectral_bandwidth(relative_spectrum(kernel_row(power_law_kernel(p), grid(64))))
        for p in (math.inf, 2.0, 1.5, 1.0, 0.5, 0.0)
    ]
    assert widths == sorted(widths)
    assert widths[-1] > 3 * widths[0]


def test_deeper_networks_spread_a_kernels_energy():
    def width(linear_maps: int) -> float:
        network = ReluNetwork(linear_maps=linear_maps, width=512)
        kernel = composed(network.ntk, basic_features(1).double())
        return spectral_bandwidth(relative_spectrum(kernel_row(kernel, grid(128))))

    assert width(4) < width(8) < width(16)


def test_fourier_bins_pick_out_sinusoids():
    x = grid(32)[:, 0]
    residuals = torch.stack([torch.cos(2 * math.pi * 5 * x), 3 * torch.sin(2 * math.pi * x)])
    expected = torch.tensor([[0.0, 16.0, 0.0], [48.0, 0.0, 0.0]]).double()
    torch.testing.assert_close(fourier_bin_errors(residuals), expected, atol=1e-10, rtol=0)


# ---- predicted training -------------------------------------------------------------------------


def test_errors_fall_monotonically_along_every_eigenvector():
    matrix = power_law_kernel(1.0)(grid(32), grid(32))
    predicted = predict_training(matrix, signal(32), learning_rate=1e-3)
    steps = torch.arange(0, 4000, 200)
    modes = predicted.eigenvectors.T @ predicted.residuals(steps)[..., 0].T
    assert (modes.abs().diff(dim=1) <= 1e-12).all()
    losses = predicted.losses(steps)
    assert (losses.diff() < 0).all()
    torch.testing.assert_close(losses[0], signal(32).square().sum() / 2)


def test_low_frequencies_are_learned_first_without_wide_features():
    matrix = power_law_kernel(math.inf)(grid(32), grid(32))
    predicted = predict_training(matrix, signal(32), learning_rate=1e-3)
    errors = fourier_bin_errors(predicted.residuals(torch.tensor([0, 500]))[..., 0])
    remaining = errors[1] / errors[0]
    assert remaining[0] < remaining[1] < remaining[2]
    assert remaining[0] < 0.05 < 0.5 < remaining[2]


def test_after_long_training_the_samples_are_interpolated():
    kernel = power_law_kernel(0.5)
    fine, coarse, target = grid(64), grid(32), signal(32)
    start = torch.randn(64, 1, generator=generator(), dtype=torch.float64)
    predicted = predict_training(
        kernel(coarse, coarse), target, learning_rate=1.0, start=start[::2]
    )
    late = predicted.at(kernel(fine, coarse), start, torch.tensor([10**9]))[0]
    torch.testing.assert_close(late[::2], target, atol=1e-6, rtol=0)
    early = predicted.at(kernel(fine, coarse), start, torch.tensor([0]))[0]
    torch.testing.assert_close(early, start)


def test_prediction_at_the_samples_is_the_training_curve():
    matrix = power_law_kernel(1.0)(grid(16), grid(16))
    start = torch.randn(16, 2, generator=generator(), dtype=torch.float64)
    target = torch.cat([signal(16), signal(16, seed=1)], dim=1)
    predicted = predict_training(matrix, target, learning_rate=1e-3, start=start)
    steps = torch.tensor([0, 3, 50, 2000])
    torch.testing.assert_close(predicted.at(matrix, start, steps), predicted.fitted(steps))


def test_discrete_prediction_approaches_the_flow_for_small_steps():
    matrix = power_law_kernel(1.0)(grid(16), grid(16))
    flow, discrete = (
        predict_training(matrix, signal(16), learning_rate=1e-7, discrete=d).losses(
            torch.tensor([10**4])
        )
        for d in (False, True)
    )
    torch.testing.assert_close(flow, discrete, rtol=1e-3, atol=0)


def test_a_diverging_learning_rate_is_refused():
    matrix = torch.eye(3) * 4
    with pytest.raises(InputError, match=r"at most 0\.5"):
        predict_training(matrix, torch.ones(3, 1), learning_rate=0.6, discrete=True)


def linearised_descent(
    network: nn.Module, x: torch.Tensor, x_test: torch.Tensor, observe, eta: float, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient descent on the parameters of the model linearised about where it stands.

    observe: (matrix, observations). Returns values at x and x_test after the steps.
    """
    matrix, y = observe
    jacobian, jacobian_test = (parameter_jacobian(network, z)[:, 0] for z in (x, x_test))
    start, start_test = network(x).detach()[:, 0], network(x_test).detach()[:, 0]
    change = torch.zeros(jacobian.shape[1], dtype=x.dtype)
    for _ in range(steps):
        residual = matrix @ (start + jacobian @ change) - y
        change = change - eta * (matrix @ jacobian).T @ residual
    return start + jacobian @ change, start_test + jacobian_test @ change


@pytest.mark.parametrize("indirect", [False, True])
def test_discrete_prediction_equals_descent_of_the_linearised_model(indirect):
    torch_generator = generator(4)
    network = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1)).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5, generator=torch_generator)
    encode = basic_features(1).double()
    x, x_test = encode(grid(10)), encode(grid(10) + 0.03)
    operator = torch.randn(6, 10, generator=torch_generator).double() if indirect else None
    matrix = torch.eye(10).double() if operator is None else operator
    y = torch.randn(len(matrix), generator=torch_generator).double()
    kernel, cross = empirical_ntk(network, x), empirical_ntk(network, x_test, x)
    eta = 1.5 / torch.linalg.eigvalsh(matrix @ kernel @ matrix.T)[-1].item()
    values, test_values = linearised_descent(network, x, x_test, (matrix, y), eta, 40)
    predicted = predict_training(
        kernel,
        y[:, None],
        learning_rate=eta,
        start=network(x).detach(),
        operator=operator,
        discrete=True,
    )
    steps = torch.tensor([40])
    torch.testing.assert_close(predicted.fitted(steps)[0, :, 0], matrix @ values)
    at_test = predicted.at(cross, network(x_test).detach(), steps)[0, :, 0]
    torch.testing.assert_close(at_test, test_values)


def test_a_measured_kernel_has_the_spectrum_of_k_a_transposed_a():
    matrix = power_law_kernel(1.0)(grid(8), grid(8))
    operator = torch.randn(5, 8, generator=generator(), dtype=torch.float64)
    predicted = predict_training(
        matrix, torch.zeros(5, 1).double(), learning_rate=1.0, operator=operator
    )
    paper = torch.linalg.eigvals(matrix @ operator.T @ operator).real.sort().values[-5:]
    torch.testing.assert_close(predicted.eigenvalues, paper)


def test_periodic_prediction_by_fft_equals_the_dense_one():
    kernel = power_law_kernel(1.0)
    fine, coarse = grid(64), grid(16)
    target = torch.stack([signal(16)[:, 0], signal(16, seed=1)[:, 0]])
    dense = predict_training(kernel(coarse, coarse), target.T, learning_rate=1e-3).at(
        kernel(fine, coarse), torch.zeros(64, 2).double(), torch.tensor([700])
    )[0]
    row = kernel_row(kernel, fine)
    by_fourier = predict_periodic_signal(row, target, learning_rate=1e-3, steps=700)
    torch.testing.assert_close(by_fourier, dense.T, atol=1e-7, rtol=1e-6)


def test_predicted_error_can_be_minimised_over_amplitudes():
    fine = signal(64)[:, 0]
    frequencies = torch.arange(1, 17, dtype=torch.float64)[:, None]
    amplitudes = torch.full((16,), 0.25, dtype=torch.float64, requires_grad=True)
    phases = 2 * math.pi * grid(64) @ frequencies.T
    encoded = torch.cat([amplitudes * torch.sin(phases), amplitudes * torch.cos(phases)], -1)
    row = NETWORK.ntk(encoded[:1], encoded)[0]
    predicted = predict_periodic_signal(row, fine[::2], learning_rate=1e-3, steps=200)
    (predicted - fine).square().mean().backward()
    assert torch.isfinite(amplitudes.grad).all()
    assert amplitudes.grad.abs().max() > 0


def test_a_wide_network_follows_the_predicted_curve():
    """Train a finite network by gradient descent; its own kernel foretells its loss."""
    analytic = ReluNetwork(linear_maps=3, width=2048)
    g = generator(1)
    network = nn.Sequential(
        nn.Linear(2, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 1)
    )
    for layer in network[::2]:
        nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features), generator=g)
        nn.init.zeros_(layer.bias)
    x, y = basic_features(1)(grid(16).float()), signal(16).float()
    start = network(x).detach()
    eta, steps = 1e-5, 60
    kernel = analytic.ntk(x.double(), x.double())
    predicted = predict_training(
        kernel, y.double(), learning_rate=eta, start=start.double(), discrete=True
    )
    parameters = {k: p.detach().clone() for k, p in network.named_parameters()}
    for _ in range(steps):
        loss_of = torch.func.grad(
            lambda p: (functional_call(network, (p,), (x,)) - y).square().sum() / 2
        )
        gradients = loss_of(parameters)
        parameters = {k: p - eta * gradients[k] for k, p in parameters.items()}
    loss = (functional_call(network, (parameters,), (x,)) - y).square().sum() / 2
    expected = predicted.losses(torch.tensor([0, steps]))
    assert expected[1] < 0.7 * expected[0]
    assert loss.item() == pytest.approx(expected[1].item(), rel=0.05)
