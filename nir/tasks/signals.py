"""Task: many small networks, each behind its own random frequencies, on signals of known spectrum.

Operator: identity. All networks are members of one `Ensemble`, trained side by side by the one
training loop: their losses are summed, so that each trains as it would alone. Which family the
frequencies come from should not matter, only their bandwidth (root mean square); predictions hold
every member's bandwidth and errors, and how far each family departs from the common curve.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.data.generated_signals import read_signals
from nir.data.signals import draw_frequencies, root_mean_square
from nir.ensembles import Ensemble, member_losses
from nir.errors import InputError
from nir.predictions import Predictions
from nir.recipes.signals import SignalsRecipe
from nir.tasks.contract import Task

STRETCHED = "gaussian_stretched"  # Gaussian frequencies with the signal's own aspect


@dataclass(frozen=True)
class Split:
    """Coordinates [points, d] and the values of every signal there [signals, points, 1]."""

    coordinates: Tensor
    values: Tensor


def interleaved(signals: Float[Tensor, "signals ..."], trained: int) -> tuple[Split, Split]:
    """Trained points (`trained` along each axis) and the tested ones, halfway between them."""
    dimensions, samples = signals.ndim - 1, signals.shape[1]
    if samples % (2 * trained):
        raise InputError(
            f"{samples} samples along an axis are no multiple of twice trained_samples = {trained}"
        )
    step = samples // (2 * trained)
    axis = torch.arange(samples) / samples
    grid = torch.stack(torch.meshgrid(*[axis] * dimensions, indexing="ij"), dim=-1)
    splits = []
    for start in (0, step):
        places = (slice(start, None, 2 * step),) * dimensions
        values = signals[(slice(None), *places)].reshape(len(signals), -1, 1)
        splits.append(Split(grid[places].reshape(-1, dimensions), values))
    return splits[0], splits[1]


def build(
    recipe: SignalsRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> SignalsTask:
    """Build the ensemble for the signals of the file `subject`."""
    signals = read_signals(subject)[: recipe.signals]
    if len(signals) < recipe.signals:
        raise InputError(f"{subject}: {len(signals)} signals; {recipe.signals} were asked for")
    return SignalsTask(recipe, signals, device, generator)


class SignalsTask(Task):
    """The ensemble of all (family, scale, signal), and one dense reference a signal."""

    def __init__(
        self,
        recipe: SignalsRecipe,
        signals: Float[Tensor, "signals ..."],
        device: torch.device,
        generator: Generator,
    ) -> None:
        self.recipe = recipe
        self.families = [*recipe.families, *recipe.heavy_tailed]
        if recipe.stretched_aspect:
            self.families.append(STRETCHED)
        self.dimensions = signals.ndim - 1
        self.trained, self.tested = interleaved(signals.to(device), recipe.trained_samples)
        frequencies = self._draw(generator)
        self.bandwidths = root_mean_square(frequencies).reshape(self._shape())
        self.field = nn.ModuleDict({"random": self._ensemble(frequencies, generator)})
        if recipe.dense_frequencies and self.dimensions == 1:
            self.field["dense"] = self._dense(generator)
        self.field.to(device)
        self.encoded = {
            name: [ensemble.encode(s.coordinates.to(device)) for s in (self.trained, self.tested)]
            for name, ensemble in self.field.items()
        }

    def _shape(self) -> tuple[int, int, int]:
        return len(self.families), self.recipe.scales, self.recipe.signals

    def _scales(self) -> list[float]:
        r = self.recipe
        return (2.0 ** torch.linspace(r.lowest_log2_scale, r.highest_log2_scale, r.scales)).tolist()

    def _draw(self, generator: Generator) -> Float[Tensor, "members m d"]:
        """Frequencies of every member, in the order family, scale, signal."""
        drawn = []
        members = itertools.product(self.families, self._scales(), range(self.recipe.signals))
        for family, scale, _ in members:
            stretched = family == STRETCHED
            drawn.append(
                draw_frequencies(
                    "gaussian" if stretched else family,
                    scale=scale,
                    count=self.recipe.frequencies,
                    dimensions=self.dimensions,
                    axis_factors=self._factors() if stretched else None,
                    generator=generator,
                )
            )
        return torch.stack(drawn)

    def _factors(self) -> list[float]:
        """Factors along (y, x) of the given aspect that keep the root mean square."""
        aspect = self.recipe.stretched_aspect
        along = math.sqrt(2 / (1 + aspect**-2))
        return [along / aspect, along]

    def _ensemble(self, frequencies: Tensor, generator: Generator, **choices: Tensor) -> Ensemble:
        seeds = torch.randint(2**31, (len(frequencies),), generator=generator).tolist()
        return Ensemble(
            seeds=seeds,
            wave_vectors=2 * math.pi * frequencies,
            dimensions=self.dimensions,
            width=self.recipe.width,
            linear_maps=self.recipe.linear_maps,
            **choices,
        )

    def _dense(self, generator: Generator) -> Ensemble:
        """All frequencies 1, 2, ... with amplitudes of a power law, one network a signal."""
        count, signals = self.recipe.dense_frequencies, self.recipe.signals
        frequencies = torch.arange(1, count + 1, dtype=torch.float32)
        amplitudes = frequencies**-self.recipe.dense_power
        return self._ensemble(
            frequencies[None, :, None].repeat(signals, 1, 1),
            generator,
            amplitudes=amplitudes.repeat(signals, 1),
        )

    def batch(self, step: int, generator: Generator) -> Tensor:
        """Return the trained values of every signal; the points are encoded once and for all."""
        return self.trained.values

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """1/2 sum of squares of every member, summed."""
        terms = {}
        for name, ensemble in self.field.items():
            values = ensemble.evaluate(self.encoded[name][0])
            terms[name] = member_losses(values, self._for_members(batch, values)).sum()
        return terms

    def _for_members(self, values: Tensor, predicted: Tensor) -> Tensor:
        """Values of each member's own signal; the signal is the fastest of a member's indices."""
        return values.repeat(len(predicted) // len(values), 1, 1)

    @torch.no_grad()
    def member_errors(self, name: str) -> tuple[Tensor, Tensor, Tensor]:
        """Mean squared errors at trained and tested points, and the predictions at the latter."""
        ensemble = self.field[name]
        errors = []
        for encoded, split in zip(self.encoded[name], (self.trained, self.tested), strict=True):
            values = ensemble.evaluate(encoded)
            errors.append(member_losses(values, self._for_members(split.values, values), "mean"))
        return errors[0].cpu(), errors[1].cpu(), values.cpu()

    def predict(self, out: Path) -> None:
        """Write bandwidths and errors of all members, and the best networks of each family."""
        size = "x".join([str(self.recipe.trained_samples)] * self.dimensions)
        predictions = Predictions(out, f"signals-{size}-between")
        trained, tested, values = self.member_errors("random")
        shape = self._shape()
        errors = tested.reshape(shape)
        predictions.array("bandwidth", self.bandwidths.numpy())
        predictions.array("errors-trained", trained.reshape(shape).numpy())
        predictions.array("errors-tested", errors.numpy())
        truth = self.tested.values[..., 0].cpu().numpy()
        best = errors.mean(-1).argmin(-1)
        by_member = values[..., 0].reshape(*shape, -1)
        for index, family in enumerate(self.families):
            chosen = by_member[index, best[index]].numpy()
            predictions.compare(family, chosen, truth, metrics=("mse",))
        if "dense" in self.field:
            dense = self.member_errors("dense")
            predictions.array("errors-dense", dense[1].numpy())
            predictions.compare("dense", dense[2][..., 0].numpy(), truth, metrics=("mse",))
        self._add_departures(predictions, errors)
        predictions.write()

    def _add_departures(self, predictions: Predictions, errors: Tensor) -> None:
        """How much of the error the bandwidth leaves unexplained, in all and for each family."""
        common = len(self.recipe.families)
        heights = errors.double().clamp(min=1e-30).log10().mean(-1)  # over signals
        places = self.bandwidths.double().log10().mean(-1)
        departures = departures_from_common_curve(places, heights, common)
        of_common = departures[:common]
        share = of_common.square().mean() / heights[:common].var(correction=0)
        predictions.number("unexplained_share", share.item(), "1")
        for family, values in zip(self.families, departures, strict=True):
            distance = values.square().mean().sqrt().item()
            predictions.number("departure", distance, "1", split=family)


def departures_from_common_curve(
    places: Float[Tensor, "families scales"], heights: Float[Tensor, "families scales"], common: int
) -> Float[Tensor, "families scales"]:
    """Heights minus the curve through the first `common` families, the family itself left out.

    The curve is, at each place, the mean of straight lines between each other family's points
    (clamped to their ends).
    """
    departures = torch.empty_like(heights)
    for family in range(len(heights)):
        others = [other for other in range(common) if other != family] or [family]
        curves = [_line_through(places[o], heights[o], places[family]) for o in others]
        departures[family] = heights[family] - torch.stack(curves).mean(0)
    return departures


def _line_through(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """Piecewise linear interpolation of y(x), clamped to its ends."""
    order = x.argsort()
    x, y = x[order], y[order]
    right = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    left = right - 1
    share = ((at - x[left]) / (x[right] - x[left]).clamp(min=1e-12)).clamp(0, 1)
    return y[left] + share * (y[right] - y[left])
