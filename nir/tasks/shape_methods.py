"""Methods that reconstruct shapes: what each is trained on, its losses, and its surface.

A *method* is a module with an encoder and whatever makes a shape from the code. `targets(draw)`
gets what its losses compare with; `losses(batch)` are its paper's; `surface(inputs)` is the mesh of
one shape, or points where the method has no triangles. Everything lies in the unit cube.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nir.data.shape_collections import ShapeBatches
from nir.geometry.templates import icosphere, square_patch
from nir.geometry.voxels import centre_surface
from nir.networks.explicit_shapes import PatchDecoder, PointSetDecoder, VoxelDecoder
from nir.networks.pixel2mesh import DeformedStage, Pixel2Mesh, Projection
from nir.operators.point_sets import (
    chamfer_squared,
    edge_lengths_squared,
    edge_normal_cosines,
    laplacian_coordinates,
)
from nir.recipes.shape_reconstruction import ShapeReconstructionRecipe

Batch = dict[str, Tensor]
Surface = trimesh.Trimesh | Float[np.ndarray, "points 3"]


@dataclass(frozen=True)
class Draw:
    """Some shapes of a collection, and the randomness with which they are looked at."""

    batches: ShapeBatches
    shapes: Tensor
    generator: Generator

    def surface(self, count: int) -> Batch:
        """Points on the true surfaces with normals, without noise."""
        drawn = self.batches.clouds(self.shapes, count, self.generator, noise=0.0)
        return {"surface": drawn["points"], "normals": drawn["normals"]}


class Method(nn.Module, ABC):
    """The contract; `encoder` is None where no single code describes the input."""

    def __init__(self, recipe: ShapeReconstructionRecipe, encoder: nn.Module | None) -> None:
        super().__init__()
        self.recipe = recipe
        self.encoder = encoder

    def targets(self, draw: Draw) -> Batch:
        """What the losses compare with: points of the true surface unless overridden."""
        return draw.surface(self.recipe.surface_targets)

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms, weights applied."""

    @abstractmethod
    def surface(self, inputs: Batch) -> Surface:
        """The shape that the inputs of one shape mean."""

    def code(self, batch: Batch) -> Float[Tensor, "shapes c"]:
        """The codes of what is seen."""
        return self.encoder(batch["input"])


class VoxelMethod(Method):
    """3D-R2N2 for one view: voxels of the cube of side 1, cross-entropy (im2mesh/r2n2)."""

    def __init__(
        self, recipe: ShapeReconstructionRecipe, encoder: nn.Module, generator: Generator
    ) -> None:
        super().__init__(recipe, encoder)
        self.decoder = VoxelDecoder(
            code_size=encoder.code_size, width=recipe.voxel_width, generator=generator
        )

    def targets(self, draw: Draw) -> Batch:
        """The true voxels."""
        return {"voxels": draw.batches.voxels(draw.shapes)["voxels"]}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy, summed over voxels."""
        logits = self.decoder(self.code(batch))
        error = F.binary_cross_entropy_with_logits(logits, batch["voxels"], reduction="none")
        return {"voxels": error.flatten(1).sum(dim=1).mean()}

    def surface(self, inputs: Batch) -> trimesh.Trimesh:
        """Marching cubes through the voxels' centres."""
        logits = self.decoder(self.code(inputs))[0].cpu().numpy()
        level = float(np.log(self.recipe.voxel_threshold / (1 - self.recipe.voxel_threshold)))
        return trimesh.Trimesh(*centre_surface(logits, level=level), process=False)


class PointSetMethod(Method):
    """PSGN: a set of points, squared Chamfer distance; it has no surface (im2mesh/psgn)."""

    def __init__(
        self, recipe: ShapeReconstructionRecipe, encoder: nn.Module, generator: Generator
    ) -> None:
        super().__init__(recipe, encoder)
        self.decoder = PointSetDecoder(
            code_size=encoder.code_size,
            width=recipe.set_width,
            points=recipe.set_points,
            generator=generator,
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared Chamfer distance."""
        found = self.decoder(self.code(batch))
        return {"chamfer": chamfer_squared(found, batch["surface"]).mean()}

    def surface(self, inputs: Batch) -> Float[np.ndarray, "points 3"]:
        """The points."""
        return self.decoder(self.code(inputs))[0].cpu().numpy()


class AtlasMethod(Method):
    """AtlasNet: bent squares, or one sphere; squared Chamfer distance (Groueix et al. 2018)."""

    def __init__(
        self, recipe: ShapeReconstructionRecipe, encoder: nn.Module, generator: Generator
    ) -> None:
        super().__init__(recipe, encoder)
        self.sphere = recipe.method == "atlasnet_sphere"
        self.patches = 1 if self.sphere else recipe.atlas_patches
        self.decoder = PatchDecoder(
            code_size=encoder.code_size,
            patches=self.patches,
            template_size=3 if self.sphere else 2,
            generator=generator,
        )

    def targets(self, draw: Draw) -> Batch:
        """True points, and random points of the templates."""
        generator, count = draw.generator, self.recipe.atlas_points // self.patches
        size = (self.patches, count, 3 if self.sphere else 2)
        if self.sphere:
            drawn = torch.randn(size, generator=generator, device=generator.device)
            template = F.normalize(drawn, dim=-1)
        else:
            template = torch.rand(size, generator=generator, device=generator.device)
        return super().targets(draw) | {"template": template}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared Chamfer distance, both means added."""
        found = self.decoder(self.code(batch), batch["template"])
        return {"chamfer": chamfer_squared(found, batch["surface"]).mean()}

    def surface(self, inputs: Batch) -> trimesh.Trimesh:
        """The templates' own triangles, bent."""
        if self.sphere:
            points, faces = icosphere(4)
        else:
            points, faces = square_patch(
                max(2, round((self.recipe.atlas_points / self.patches) ** 0.5))
            )
        device = inputs["input"].device
        template = torch.from_numpy(points).float().to(device).expand(self.patches, -1, -1)
        vertices = self.decoder(self.code(inputs), template)[0].cpu().numpy()
        all_faces = [faces + patch * len(points) for patch in range(self.patches)]
        return trimesh.Trimesh(vertices, np.concatenate(all_faces), process=False)


class Pixel2MeshMethod(Method):
    """Pixel2Mesh: a sphere deformed in three stages; it alone is told the camera (Wang 2018).

    Its feature maps are those of the ResNet-18 that all methods have.
    """

    def __init__(
        self, recipe: ShapeReconstructionRecipe, features: nn.Module, generator: Generator
    ) -> None:
        super().__init__(recipe, None)
        self.features = features
        self.decoder = Pixel2Mesh(
            image_channels=sum(features.channels),
            width=recipe.graph_width,
            blocks=recipe.graph_blocks,
            subdivisions=recipe.graph_subdivisions,
            generator=generator,
        )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Chamfer, edges, Laplacian, movement and normals of all stages (im2mesh/pix2mesh)."""
        totals: dict[str, Tensor] = {}
        for number, stage in enumerate(self._stages(batch)):
            for name, term in self._terms(stage, number, batch).items():
                totals[name] = totals.get(name, 0) + term
        return totals

    def _terms(self, stage: DeformedStage, number: int, batch: Batch) -> dict[str, Tensor]:
        r, truth = self.recipe, batch["surface"]
        chamfer = chamfer_squared(stage.after, truth, from_prediction=r.chamfer_from_prediction)
        edges = edge_lengths_squared(stage.after, stage.edges)
        before, after = (laplacian_coordinates(v, stage.edges) for v in (stage.before, stage.after))
        laplacian = (after - before).square().sum(dim=-1)
        moved = (stage.after - stage.before).square().sum(dim=-1)
        cosines = edge_normal_cosines(stage.after, stage.edges, truth, batch["normals"])
        squared = r.length_scale**2
        terms = {
            "chamfer": squared * r.chamfer_weight * chamfer.mean(),
            "edges": squared * r.edge_weight * edges.mean(),
            "normals": r.normal_weight * cosines.mean(),
        }
        first = r.laplacian_first_stage if number == 0 else 1.0
        terms["laplacian"] = squared * r.laplacian_weight * first * laplacian.mean()
        if number:  # the sphere itself may move as it likes
            terms["movement"] = squared * r.move_weight * moved.mean()
        return terms

    def _stages(self, batch: Batch) -> list[DeformedStage]:
        projection = Projection(batch["camera_to_world"], batch["focal"])
        return self.decoder(self.features(batch["input"]), projection)

    def surface(self, inputs: Batch) -> trimesh.Trimesh:
        """The mesh after the last stage."""
        vertices = self._stages(inputs)[-1].after[0].cpu().numpy()
        return trimesh.Trimesh(vertices, self.decoder.faces, process=False)
