"""Task: which amplitudes should the frequencies of a mapping have?

Operator: identity. One ensemble of wide networks is trained by gradient descent on signals of
known spectrum: behind amplitudes b^-p for many p, and behind amplitudes that were optimised before
by the error that the kernel predicts for other signals of the same law (Fourier Features eq. 10,
figure 5). Tested halfway between the samples.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.data.generated_signals import SAMPLES, read_signals
from nir.data.signals import power_law_amplitudes, power_law_signals, rescale
from nir.ensembles import Ensemble, member_losses
from nir.errors import InputError
from nir.kernels import ReluNetwork
from nir.optimisers import Adam
from nir.predictions import Predictions
from nir.random import generator_for
from nir.recipes.signals import SpectrumRecipe
from nir.spectra import predict_periodic_signal
from nir.tasks.contract import Task
from nir.tasks.signals import Split, interleaved

OPTIMISER_RATE = 0.01  # 1d_ntk_opt: Adam on the amplitudes
FIRST_NOISE = 1e-3  # 1d_ntk_opt: they start at p = infinity plus |N(0, 1)| times this


def build(
    recipe: SpectrumRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> SpectrumTask:
    """Optimise the amplitudes and build the ensemble for the signals of the file `subject`."""
    signals = read_signals(subject)[: recipe.signals]
    if signals.ndim != 2 or len(signals) < recipe.signals:
        raise InputError(f"{subject}: no {recipe.signals} signals of one dimension")
    exponents = [*torch.linspace(0, 2, recipe.powers).tolist(), math.inf]
    amplitudes = [power_law_amplitudes(recipe.frequencies, p)[1] for p in exponents]
    amplitudes.append(optimised_amplitudes(recipe))
    frequencies, _ = power_law_amplitudes(recipe.frequencies, 1.0)
    members = len(amplitudes) * recipe.signals
    field = Ensemble(
        seeds=torch.randint(2**31, (members,), generator=generator).tolist(),
        wave_vectors=(2 * math.pi * frequencies).repeat(members, 1, 1),
        amplitudes=torch.stack(amplitudes).repeat_interleave(recipe.signals, 0),
        width=recipe.width,
        linear_maps=recipe.linear_maps,
    )
    trained, tested = interleaved(signals.to(device), recipe.trained_samples)
    return SpectrumTask(recipe, field.to(device), trained, tested, exponents)


def optimised_amplitudes(recipe: SpectrumRecipe) -> Float[Tensor, " frequencies"]:
    """Amplitudes of least predicted error on signals drawn for this, of norm 1.

    They belong to the experiment: they depend on the recipe, not on the run's seed.
    """
    generator = generator_for("optimised amplitudes", recipe.optimisation_seed)
    fine = 2 * recipe.trained_samples
    drawn = power_law_signals(
        recipe.optimisation_signals, SAMPLES, alpha=recipe.alpha, generator=generator
    )
    targets = rescale(drawn)[:, :: SAMPLES // fine].double()
    targets = targets - targets[:, ::2].mean(-1, keepdim=True)  # biases learn the mean at once
    start = power_law_amplitudes(recipe.frequencies, math.inf)[1].double()
    noise = torch.randn(recipe.frequencies, generator=generator).abs() * FIRST_NOISE
    amplitudes = (start + noise).requires_grad_()
    descent = Adam([amplitudes], lr=OPTIMISER_RATE)
    for _ in range(recipe.optimisation_steps):
        predicted = predicted_signals(recipe, amplitudes, targets[:, ::2])
        descent.zero_grad()
        (predicted - targets)[:, 1::2].square().mean().backward()
        descent.step()
    found = amplitudes.detach().abs()
    return (found / found.norm()).float()


def predicted_signals(
    recipe: SpectrumRecipe,
    amplitudes: Float[Tensor, " frequencies"],
    samples: Float[Tensor, "signals n"],
) -> Float[Tensor, "signals fine"]:
    """What wide networks behind these amplitudes (scaled to norm 1) have learned at the end."""
    fine = 2 * samples.shape[-1]
    offsets = torch.arange(fine, dtype=samples.dtype) / fine
    frequencies = torch.arange(1, recipe.frequencies + 1, dtype=samples.dtype)
    weights = amplitudes.square() / amplitudes.square().sum()
    cosine = torch.cos(2 * math.pi * offsets[:, None] * frequencies) @ weights
    network = ReluNetwork(linear_maps=recipe.linear_maps, width=recipe.width)
    row = network.ntk_of_cosine(cosine, inputs=2 * recipe.frequencies)
    # The theory's learning rate is that of 1/2 sum; the networks' loss is 1/2 mean.
    rate = recipe.learning_rate / samples.shape[-1]
    return predict_periodic_signal(row, samples, learning_rate=rate, steps=recipe.steps)


class SpectrumTask(Task):
    """The ensemble of all (amplitudes, signal)."""

    def __init__(
        self,
        recipe: SpectrumRecipe,
        field: Ensemble,
        trained: Split,
        tested: Split,
        exponents: list[float],
    ) -> None:
        self.recipe = recipe
        self.field = field
        self.trained, self.tested = trained, tested
        self.exponents = exponents
        self.encoded = field.encode(trained.coordinates.to(trained.values.device))

    def batch(self, step: int, generator: Generator) -> Tensor:
        """Return the trained values of every signal."""
        return self.trained.values

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """1/2 mean of squares of every member, summed."""
        fitted = self.field.evaluate(self.encoded)
        return {"value": member_losses(fitted, self._for_members(batch), "half_mean").sum()}

    def _for_members(self, values: Tensor) -> Tensor:
        """Values of each member's signal; the signal is the faster of a member's indices."""
        return values.repeat(self.field.members // len(values), 1, 1)

    @torch.no_grad()
    def errors(self) -> Float[Tensor, "sets signals"]:
        """Mean squared errors between the samples, of power laws and of what was optimised."""
        fitted = self.field(self.tested.coordinates.to(self.tested.values.device))
        errors = member_losses(fitted, self._for_members(self.tested.values), "mean")
        return errors.reshape(-1, self.recipe.signals).cpu()

    def predict(self, out: Path) -> None:
        """Write errors over the power, and the amplitudes that were optimised."""
        predictions = Predictions(out, f"spectrum-{self.recipe.trained_samples}-between")
        errors = self.errors()
        predictions.array("errors", errors.numpy())
        predictions.array("powers", torch.tensor(self.exponents).numpy())
        first_of_each = self.field.amplitudes[:: self.recipe.signals].cpu()
        predictions.array("amplitudes", first_of_each.numpy())
        means = errors.mean(1)
        best = means[:-1].argmin()
        predictions.number("mse_between", means[best].item(), "1", split="best power law")
        predictions.number("mse_between", means[-1].item(), "1", split="optimised")
        predictions.number("optimised_to_best", (means[-1] / means[best]).item(), "1")
        predictions.write()
