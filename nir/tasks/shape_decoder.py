"""Task: many shapes in one decoder, each with a code (DeepSDF).

Operator: identity, on the signed distance (or, to compare, the decision inside or outside) of
points. Space is DeepSDF's: shapes in a ball of radius 1/1.03, distances positive outside. What is
predicted leaves in the unit cube, in which collections keep their surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn import functional as F

from nir.data.shape_collections import ShapeBatches, ShapeCollection, open_collection
from nir.networks.auto_decoders import AutoDecoder, DeepSdfDecoder
from nir.recipes.shape_decoder import ShapeDecoderRecipe
from nir.tasks.contract import Task


@dataclass(frozen=True)
class Samples:
    """Some shapes (by index), points of each, signed distances there, and when this is."""

    shapes: Int[Tensor, " shapes"]
    points: Float[Tensor, "shapes points 3"]
    distances: Float[Tensor, "shapes points"]
    step: int
    seed: int


def build(
    recipe: ShapeDecoderRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> ShapeDecoderTask:
    """Build the task for the collection of shapes at `subject`."""
    collection = open_collection(subject)
    batches = ShapeBatches(collection, collection.names("train", most=recipe.train_shapes), device)
    decoder = DeepSdfDecoder(
        recipe.code_size,
        width=recipe.width,
        layers=recipe.layers,
        skip=recipe.skip,
        dropout=recipe.dropout,
        bounded=recipe.target == "distance",
        generator=generator,
    )
    field = AutoDecoder(
        decoder,
        len(batches),
        deviation=recipe.code_deviation or recipe.code_size**-0.5,
        generator=generator,
    )
    if recipe.method != "auto_decoder":
        field.codes.data.zero_()
        field.codes.requires_grad_(False)
    return ShapeDecoderTask(recipe, collection, batches, field.to(device), device)


class ShapeDecoderTask(Task):
    """Learn a decoder and the codes of its training shapes."""

    def __init__(
        self,
        recipe: ShapeDecoderRecipe,
        collection: ShapeCollection,
        batches: ShapeBatches,
        field: AutoDecoder,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.collection = collection
        self.batches = batches
        self.field = field
        self.device = device
        self._uniform: dict[int, Tensor] = {}

    def parameter_groups(self, learning_rate: float) -> list[dict[str, object]]:
        """The decoder, and the codes with a learning rate of their own."""
        groups = [{"params": list(self.field.decoder.parameters()), "lr": learning_rate}]
        if self.field.codes.requires_grad:
            groups.append({"params": [self.field.codes], "lr": self.recipe.code_learning_rate})
        return groups

    def batch(self, step: int, generator: Generator) -> Samples:
        """Draw shapes, and points of each."""
        r = self.recipe
        shapes = self.batches.draw(min(r.shapes_per_step, len(self.batches)), generator)
        if r.sampling == "near":
            drawn = self.batches.distances(
                shapes, r.points_per_shape, generator, balanced=r.balanced
            )
        else:
            drawn = self._uniform_samples(shapes, generator)
        seed = torch.randint(2**31, (), generator=generator, device=generator.device)
        return Samples(drawn["shape"], drawn["points"], drawn["distances"], step, int(seed))

    def _uniform_samples(self, shapes: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Points uniform in the padded cube, with their signed distances."""
        chosen = []
        for index in shapes.tolist():
            if index not in self._uniform:
                self._uniform[index] = self._uniform_pool(self.batches.names[index])
            pool = self._uniform[index]
            places = torch.randint(
                len(pool),
                (self.recipe.points_per_shape,),
                generator=generator,
                device=generator.device,
            )
            chosen.append(pool[places.to(pool.device)])
        both = torch.stack(chosen)
        return {
            "shape": shapes.to(self.device),
            "points": both[..., :3],
            "distances": both[..., 3],
        }

    def _uniform_pool(self, name: str) -> Float[Tensor, "points 4"]:
        points = self.collection.array(name, "uniform_points").astype(np.float64)
        scale = float(self.collection.array(name, "sphere_scale"))
        distances = self.collection.surface(name).signed_distances(points)
        pool = scale * np.concatenate([points, distances[:, None]], axis=1)
        return torch.from_numpy(pool.astype(np.float32)).to(self.device)

    def losses(self, batch: Samples) -> dict[str, Tensor]:
        """Clamped L1 (equation 4), or cross-entropy, and the prior of the codes."""
        r = self.recipe
        if self.field.codes.requires_grad and r.code_bound > 0:
            self.field.bound_codes(r.code_bound)
        # Dropout knows torch's own generator alone: it is seeded by the batch and put back.
        with torch.random.fork_rng(devices=self._cuda_devices()):
            torch.random.default_generator.manual_seed(batch.seed)
            if self.device.type == "cuda":
                torch.cuda.manual_seed(batch.seed)
            self.field.decoder.train()
            values = self.field(batch.shapes, batch.points)
            self.field.decoder.eval()
        terms = {r.target: self.data_loss(values, batch.distances)}
        if self.field.codes.requires_grad:
            codes = self.field.codes[batch.shapes]
            length = codes.norm(dim=1) if r.code_prior == "norm" else codes.square().sum(dim=1)
            warm = min(1.0, batch.step / r.code_warm_up) if r.code_warm_up else 1.0
            terms["codes"] = r.code_weight * warm * length.mean()
        return terms

    def data_loss(self, values: Tensor, distances: Tensor) -> Tensor:
        """How far values are from distances, or from being inside (negative) and outside."""
        if self.recipe.target == "occupancy":
            return F.binary_cross_entropy_with_logits(-values, (distances < 0).to(values.dtype))
        delta = self.recipe.clamp
        return (values.clamp(-delta, delta) - distances.clamp(-delta, delta)).abs().mean()

    def _cuda_devices(self) -> list[torch.device]:
        return [self.device] if self.device.type == "cuda" else []

    def protocol(self) -> str:
        """How surfaces were extracted; they are compared in the unit cube."""
        r = self.recipe
        return f"{r.asks}-mesh{r.mesh_resolution}-unit-cube"

    def predict(self, out: Path) -> None:
        """Answer what the recipe asks."""
        from nir.tasks.shape_decoder_predictions import ANSWERS

        self.field.decoder.eval()
        ANSWERS[self.recipe.asks](self, out)
