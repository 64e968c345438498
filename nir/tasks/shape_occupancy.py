"""The method of Occupancy Networks: the encoder's code, a decoder asked at points, and MISE."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nir.data.shape_sampling import padded_cube
from nir.geometry.multiresolution import multiresolution_surface
from nir.geometry.refinement import refined, simplified
from nir.networks.occupancy import DECODERS, AddedCodeDecoder
from nir.networks.shape_encoders import PosteriorEncoder, divergence_from_standard_normal
from nir.recipes.shape_reconstruction import ShapeReconstructionRecipe
from nir.tasks.shape_methods import Batch, Draw, Method

Occupancy = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]


class OccupancyMethod(Method):
    """Occupancy Networks, with a variational code where the recipe has a `latent_size`."""

    def __init__(
        self, recipe: ShapeReconstructionRecipe, encoder: nn.Module | None, generator: Generator
    ) -> None:
        super().__init__(recipe, encoder)
        decoder = DECODERS[recipe.decoder]
        if encoder is None:  # the unconditional model's decoder is not normalised either
            decoder = functools.partial(AddedCodeDecoder, normalised=False)
        self.decoder = decoder(
            code_size=encoder.code_size if encoder is not None else 0,
            latent_size=recipe.latent_size,
            width=recipe.decoder_width,
            generator=generator,
        )
        self.posterior = None
        if recipe.latent_size:
            self.posterior = PosteriorEncoder(latent_size=recipe.latent_size, generator=generator)

    def targets(self, draw: Draw) -> Batch:
        """Points with their occupancies, and the noise of the latent."""
        count = self.recipe.points_per_shape
        targets = occupancies(draw, count, self.recipe.sampling)
        if self.posterior is not None:
            shape = (len(draw.shapes), self.recipe.latent_size)
            device = draw.generator.device
            targets["noise"] = torch.randn(shape, generator=draw.generator, device=device)
        return targets

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy summed over points, and the latent's divergence (equations 3 and 4)."""
        terms, latent = {}, None
        if self.posterior is not None:
            mean, log_deviation = self.posterior(batch["points"], batch["inside"])
            latent = mean + torch.exp(log_deviation) * batch["noise"]
            terms["divergence"] = divergence_from_standard_normal(mean, log_deviation).mean()
        logits = self.decoder(batch["points"], self.code(batch), latent)
        error = F.binary_cross_entropy_with_logits(logits, batch["inside"], reduction="none")
        return {"occupancy": error.sum(dim=1).mean(), **terms}

    def code(self, batch: Batch) -> Float[Tensor, "shapes c"]:
        """The codes of what is seen; empty ones of the unconditional model."""
        if self.encoder is None:
            return batch["points"].new_zeros(len(batch["points"]), 0)
        return super().code(batch)

    def occupancy(self, inputs: Batch) -> Occupancy:
        """The logit of being inside, as a function of points in space."""
        code, latent = self.code(inputs), None
        if self.posterior is not None:
            latent = inputs.get("latent")
            if latent is None:
                latent, _ = self.posterior(inputs["points"], inputs["inside"])
        return lambda points: self.decoder(points[None], code, latent)[0]

    def surface(self, inputs: Batch) -> trimesh.Trimesh:
        """The level set at the recipe's threshold."""
        return mesh_of(self.occupancy(inputs), self.recipe, self.decoder.last.weight.device)


def occupancies(draw: Draw, count: int, sampling: str) -> Batch:
    """Points and occupancies; "surface": half of them near it, half uniform (Table 4a)."""
    if sampling != "surface":
        kinds = {sampling: count}
    else:
        kinds = {"near": count // 2, "uniform": count - count // 2}
    drawn = [
        draw.batches.occupancy(draw.shapes, share, draw.generator, sampling=kind)
        for kind, share in kinds.items()
    ]
    return {key: torch.cat([one[key] for one in drawn], dim=1) for key in ("points", "inside")}


def mesh_of(
    logit: Occupancy, recipe: ShapeReconstructionRecipe, device: torch.device
) -> trimesh.Trimesh:
    """MISE at the threshold, then what the recipe asks for of simplification and refinement."""
    level = math.log(recipe.threshold) - math.log(1 - recipe.threshold)
    lower, upper = padded_cube()
    found = multiresolution_surface(
        logit,
        lower,
        upper,
        level=level,
        start_cells=recipe.start_cells,
        doublings=recipe.doublings,
        device=device,
    )
    vertices, faces = found.vertices, found.faces
    if recipe.faces_at_most and len(faces):
        vertices, faces = simplified(vertices, faces, faces_at_most=recipe.faces_at_most)
    if recipe.refinement_steps and len(faces):
        with torch.enable_grad():
            vertices = refined(
                vertices,
                faces,
                lambda points: torch.sigmoid(logit(points)),
                level=recipe.threshold,
                steps=recipe.refinement_steps,
                generator=torch.Generator().manual_seed(0),
                device=device,
            )
    return trimesh.Trimesh(np.asarray(vertices), faces, process=False)
