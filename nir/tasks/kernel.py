"""Task: a wide ReLU network on a 1-D signal, beside the training that its kernel predicts.

Operator: identity. The network is trained by gradient descent on 1/2 sum of squares; predictions
hold the kernels of the mapping (matrices, rows, spectra) and the course of training that two of
them predict from the same start: the analytic one of infinite width, and the empirical one of this
very network before training. Theory is anchored at initialisation.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.data.generated_signals import read_signals
from nir.data.signals import power_law_amplitudes
from nir.encodings import FourierFeatures
from nir.errors import InputError
from nir.fields.coordinates import Field, FixedPoints
from nir.kernels import (
    Kernel,
    ReluNetwork,
    composed,
    departure_from_stationarity,
    empirical_ntk,
)
from nir.networks.mlp import MLP
from nir.predictions import Predictions
from nir.recipes.kernel import KernelRecipe
from nir.spectra import (
    PredictedTraining,
    fourier_bin_errors,
    kernel_row,
    predict_training,
    relative_spectrum,
)
from nir.tasks.contract import Task

BINS = (1, 5, 15)  # figure 3c: low, middle and high frequency
SLIDE_POINTS, LARGE_POINTS = 8, 128  # matrices: as on the slide, and large
SPREADING_POINTS = 128  # kernel_spreading
SPREADING_DEPTHS = (4, 8, 16)
SPREADING_FREQUENCIES = ((1.0,), (1.0, 43.0))


@dataclass(frozen=True)
class Samples:
    """Points of the signal and its values there."""

    coordinates: Float[Tensor, "points 1"]
    values: Float[Tensor, "points 1"]


class Shifted(nn.Module):
    """x - 0.5: what a network without a mapping is fed (1d_regression)."""

    features = 1

    def forward(self, coordinates: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch 1"]:
        """Centre the unit interval."""
        return coordinates - 0.5


def mapping_from(recipe: KernelRecipe) -> nn.Module:
    """The encoding that the recipe names."""
    if recipe.mapping == "none":
        return Shifted()
    power = math.inf if recipe.mapping == "basic" else recipe.power
    frequencies, amplitudes = power_law_amplitudes(recipe.frequencies, power)
    return FourierFeatures(2 * math.pi * frequencies, amplitudes=amplitudes)


def build(
    recipe: KernelRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> KernelTask:
    """Build the task for one signal of the file `subject`; the start comes from `generator`."""
    signals = read_signals(subject)
    if signals.ndim != 2 or recipe.signal >= len(signals):
        raise InputError(f"{subject}: no 1-D signal number {recipe.signal}")
    if signals.shape[1] % recipe.trained_points:
        raise InputError(
            f"{subject}: {signals.shape[1]} samples are no multiple of "
            f"trained_points = {recipe.trained_points}"
        )
    mapping = mapping_from(recipe)
    network = MLP(
        mapping.features,
        1,
        width=recipe.width,
        hidden_layers=recipe.linear_maps - 2,
        initialisation="lecun_normal",
        generator=generator,
    )
    field = Field(mapping, network).to(device)
    return KernelTask(recipe, signals[recipe.signal].to(device), field)


class KernelTask(Task):
    """Gradient descent on a signal's samples; tested on all points between."""

    def __init__(
        self, recipe: KernelRecipe, signal: Float[Tensor, " samples"], field: Field
    ) -> None:
        self.recipe = recipe
        self.field = field
        self.initial_field = copy.deepcopy(field)
        points = torch.arange(len(signal), device=signal.device)[:, None] / len(signal)
        step = len(signal) // recipe.trained_points
        self.whole = Samples(points, signal[:, None])
        self.trained = Samples(points[::step], signal[::step, None])
        self.at_trained = FixedPoints(field, self.trained.coordinates)

    def batch(self, step: int, generator: Generator) -> Samples:
        """Return all trained points."""
        return self.trained

    def losses(self, batch: Samples) -> dict[str, Tensor]:
        """1/2 sum of squares, as the notebook's learning rate wants it."""
        error = self.at_trained.values() - batch.values
        return {"value": error.square().sum() / 2}

    def monitor(self) -> dict[str, float]:
        """Mean squared errors and the error's Fourier bins, as `_curves` names them."""
        trained = self.at_trained.values() - self.trained.values
        tested = self.field(self.whole.coordinates) - self.whole.values
        return {k: v.item() for k, v in _curves(trained[None], tested[None]).items()}

    def predict(self, out: Path) -> None:
        """Write the fitted signal, the kernels, and the training that they predict."""
        maps = f"{self.recipe.linear_maps}x{self.recipe.width}"
        predictions = Predictions(out, f"signal-{self.recipe.trained_points}-ntk-{maps}")
        with torch.no_grad():
            fitted = self.field(self.whole.coordinates).cpu().numpy()
        values = self.whole.values.cpu().numpy()
        predictions.compare("tested", fitted, values, metrics=("mse",))
        self._add_kernels(predictions)
        self._add_theory(predictions)
        predictions.write()

    # ---- kernels --------------------------------------------------------------------------------

    def analytic_kernel(self) -> Kernel:
        """The NTK of an infinitely wide network behind the mapping, in double precision."""
        network = ReluNetwork(linear_maps=self.recipe.linear_maps, width=self.recipe.width)
        return composed(network.ntk, copy.deepcopy(self.field.encoding).cpu().double())

    def _add_kernels(self, predictions: Predictions) -> None:
        kernel = self.analytic_kernel()
        for name, count in (("slide", SLIDE_POINTS), ("large", LARGE_POINTS)):
            points = _grid(count)
            predictions.array(f"kernel-{name}", kernel(points, points).numpy())
        row = kernel_row(kernel, _grid(len(self.whole.values)))
        predictions.array("kernel-row", row.numpy())
        predictions.array("kernel-spectrum", relative_spectrum(row).numpy())
        shifts = torch.arange(1, 8, dtype=torch.float64)[:, None] / 8
        departure = departure_from_stationarity(kernel, _grid(SLIDE_POINTS) / 2, shifts).max()
        predictions.number("departure_from_stationarity", departure.item(), "1")
        predictions.array("spreading", _spreading(self.recipe.width).numpy())

    # ---- predicted training ---------------------------------------------------------------------

    def _add_theory(self, predictions: Predictions) -> None:
        """Curves and functions predicted by both kernels; the observed curves are the run's log."""
        field = copy.deepcopy(self.initial_field)
        train, whole = self.trained.coordinates, self.whole.coordinates
        empirical = empirical_ntk(field, torch.cat([train, whole]), train).detach().cpu().double()
        exact = self.analytic_kernel()(_double(torch.cat([train, whole])), _double(train))
        own = slice(0, len(train))
        error = (empirical[own] - exact[own]).norm() / exact[own].norm()
        predictions.number("empirical_kernel_relative_error", error.item(), "1")
        steps = self._logged_steps()
        for name, kernel in (("infinite", exact), ("initial", empirical)):
            theory = self._predicted(kernel[own])
            with torch.no_grad():
                start = _double(field(whole))
            tested = theory.at(kernel[len(train) :], start, steps) - _double(self.whole.values)
            curves = {"step": steps} | _curves(theory.residuals(steps), tested)
            over_steps = {column: values.tolist() for column, values in curves.items()}
            predictions.curves(f"theory-{name}", over_steps, columns=("mse_trained", "mse_tested"))
            function = tested[-1] + _double(self.whole.values)
            predictions.array(f"function-{name}", function.numpy())

    def _predicted(self, kernel_matrix: Float[Tensor, "n n"]) -> PredictedTraining:
        with torch.no_grad():
            start = _double(self.initial_field(self.trained.coordinates))
        return predict_training(
            kernel_matrix,
            _double(self.trained.values),
            learning_rate=self.recipe.learning_rate,
            start=start,
        )

    def _logged_steps(self) -> Float[Tensor, " times"]:
        """The steps at which training logs: every `log_every`, and the last."""
        steps = np.arange(0, self.recipe.steps, self.recipe.log_every)
        return torch.from_numpy(np.append(steps, self.recipe.steps)).double()


def _curves(
    trained: Float[Tensor, "times n 1"], tested: Float[Tensor, "times m 1"]
) -> dict[str, Float[Tensor, " times"]]:
    """What training logs and theory predicts: errors, and the trained error's Fourier bins."""
    bins = fourier_bin_errors(trained[..., 0], BINS)
    return {
        "mse_trained": trained.square().mean((1, 2)),
        "mse_tested": tested.square().mean((1, 2)),
        **{f"bin_{b}": bins[:, i] for i, b in enumerate(BINS)},
    }


def _spreading(width: int) -> Float[Tensor, "sets depths half"]:
    """|DFT| of composed kernels for one frequency and for two, over depth (figure 7).

    Zeros pad the single frequency, so that both networks have as many inputs.
    """
    rows = []
    for chosen in SPREADING_FREQUENCIES:
        frequencies = torch.tensor(chosen, dtype=torch.float64)
        padded = 2 * len(SPREADING_FREQUENCIES[-1])
        angles = 2 * math.pi * _grid(SPREADING_POINTS) * frequencies
        product = torch.cos(angles).mean(-1)
        for depth in SPREADING_DEPTHS:
            network = ReluNetwork(
                linear_maps=depth, width=width, weight_std=math.sqrt(2), parameterisation="ntk"
            )
            rows.append(relative_spectrum(network.ntk_of_cosine(product, inputs=padded)))
    shape = (len(SPREADING_FREQUENCIES), len(SPREADING_DEPTHS), -1)
    return torch.stack(rows).reshape(shape)


def _grid(count: int) -> Float[Tensor, "count 1"]:
    return torch.arange(count, dtype=torch.float64)[:, None] / count


def _double(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().double()
