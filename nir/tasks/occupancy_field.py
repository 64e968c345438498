"""Task: one shape as the occupancy of points, by one coordinate network.

Operator: identity, on the logit of being inside. Shapes are brought into [0, 1]^3 as in Fourier
Features' notebook; points are uniform in the shape's box. Tested on uniform points ("easy") and
near the surface ("hard").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nir.data.shape_sampling import (
    OccupancySamples,
    box_around,
    occupancy_near_surface,
    occupancy_samples,
)
from nir.data.shapes import Shape, normalised, read_shape
from nir.encodings import FourierFeatures
from nir.fields.coordinates import Field, encoding_from, network_from
from nir.networks.mlp import parameter_count
from nir.predictions import Predictions
from nir.random import seed_of
from nir.recipes.occupancy_field import OccupancyFieldRecipe
from nir.tasks.contract import Task

POINTS_PER_CHUNK = 65_536  # bounds the memory of prediction, not its result


@dataclass(frozen=True)
class Points:
    """Points and whether they lie inside, as 0 or 1."""

    points: Float[Tensor, "points 3"]
    inside: Float[Tensor, " points"]


class Symmetric(nn.Module):
    """2 x - 1: what a network without a mapping is fed (3d_shape_occupancy)."""

    features = 3

    def forward(self, coordinates: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
        """Map the unit cube to [-1, 1]^3."""
        return 2 * coordinates - 1


def mapping_from(recipe: OccupancyFieldRecipe, generator: Generator) -> nn.Module:
    """The recipe's encoding with its amplitudes divided by their norm, as only this task does."""
    if recipe.encoding == "none":
        return Symmetric()
    encoding = encoding_from(recipe, 3, generator)
    if not isinstance(encoding, FourierFeatures):
        return encoding
    count = len(encoding.wave_vectors)
    return FourierFeatures(encoding.wave_vectors, amplitudes=torch.full((count,), count**-0.5))


def build(
    recipe: OccupancyFieldRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> OccupancyFieldTask:
    """Build the task for the mesh at `subject`."""
    shape, _ = normalised(read_shape(subject), "fourier_features")
    mapping = mapping_from(recipe, generator)
    network = network_from(recipe, mapping.features, 1, generator)
    seed = int(torch.randint(2**31, (), generator=generator))
    return OccupancyFieldTask(recipe, shape, Field(mapping, network).to(device), pool_seed=seed)


def _on(device: torch.device, samples: OccupancySamples) -> Points:
    return Points(
        torch.from_numpy(samples.points).to(device),
        torch.from_numpy(samples.inside).float().to(device),
    )


class OccupancyFieldTask(Task):
    """Classifies points as inside or outside."""

    def __init__(
        self, recipe: OccupancyFieldRecipe, shape: Shape, field: Field, *, pool_seed: int
    ) -> None:
        self.recipe = recipe
        self.shape = shape
        self.field = field
        self.pool_seed = pool_seed
        self.device = next(field.parameters()).device

    @cached_property
    def pool(self) -> Points:
        """Points from which batches are drawn; prediction does without them."""
        return self._drawn(self.recipe.pool_points, self.pool_seed)

    def _drawn(self, count: int, seed: int) -> Points:
        generator = np.random.default_rng(seed)
        box = box_around(self.shape)
        return _on(self.device, occupancy_samples(self.shape, count, generator, box=box))

    def batch(self, step: int, generator: Generator) -> Points:
        """Draw points uniform in the shape's box, or from those drawn at the start."""
        count, device = self.recipe.batch_points, generator.device
        if self.recipe.pool_points:
            pool = self.pool
            chosen = torch.randint(len(pool.points), (count,), generator=generator, device=device)
            return Points(pool.points[chosen], pool.inside[chosen])
        seed = torch.randint(2**31, (), generator=generator, device=device)
        return self._drawn(count, int(seed))

    def losses(self, batch: Points) -> dict[str, Tensor]:
        """Cross-entropy of the logit."""
        logits = self.field(batch.points)[:, 0]
        return {"occupancy": F.binary_cross_entropy_with_logits(logits, batch.inside)}

    @torch.no_grad()
    def occupancy(self, points: Float[Tensor, "points 3"]) -> Float[Tensor, " points"]:
        """Probability of being inside."""
        parts = [self.field(p)[:, 0] for p in points.to(self.device).split(POINTS_PER_CHUNK)]
        return torch.sigmoid(torch.cat(parts)).float().cpu()

    def predict(self, out: Path) -> None:
        """Write the occupancy of tested points, and of a plane through the middle."""
        r = self.recipe
        predictions = Predictions(out, f"ffn-shape-{r.tested_points}-points")
        # Tested points belong to the experiment, not to the run's seed.
        generator = np.random.default_rng(seed_of("tested points") % 2**32)
        tested = {
            "uniform": occupancy_samples(
                self.shape, r.tested_points, generator, box=box_around(self.shape)
            ),
            "near surface": occupancy_near_surface(
                self.shape, r.tested_points, generator, deviation=r.near_deviation
            ),
        }
        for split, samples in tested.items():
            predicted = self.occupancy(torch.from_numpy(samples.points)).numpy()
            predictions.compare(
                split.replace(" ", "-"),
                predicted,
                samples.inside.astype(np.float32),
                metrics=("iou_points",),
                split=split,
            )
        self._add_section(predictions)
        predictions.number("parameters", parameter_count(self.field), "1")
        predictions.write()

    def _add_section(self, predictions: Predictions) -> None:
        side = self.recipe.section_resolution
        axis = (np.arange(side) + 0.5) / side
        rows, columns = np.meshgrid(axis[::-1], axis, indexing="ij")
        points = np.stack([columns, rows, np.full_like(rows, 0.5)], -1).reshape(-1, 3)
        predicted = self.occupancy(torch.from_numpy(points).float())
        predictions.array("section-prediction", predicted.numpy().reshape(side, side))
        truth = self.shape.is_inside(points).astype(np.float32)
        predictions.array("section-reference", truth.reshape(side, side))
