"""Task: shapes from one picture, some points, or voxels each, learned from many others.

The subject is a collection of shapes. Operator: identity, on the logit of being inside, for
Occupancy Networks; the other methods make voxels, points or meshes (`shape_methods`). All see the
same inputs of the same training shapes, and are compared on shapes that no method has seen.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nir.data.shape_collections import ShapeBatches, ShapeCollection, open_collection
from nir.errors import InputError
from nir.networks.shape_encoders import (
    ImageEncoder,
    IndexEncoder,
    PointEncoder,
    ResNet18,
    VoxelEncoder,
)
from nir.recipes.shape_reconstruction import ShapeReconstructionRecipe
from nir.tasks.contract import Task
from nir.tasks.shape_methods import (
    AtlasMethod,
    Batch,
    Draw,
    Method,
    Pixel2MeshMethod,
    PointSetMethod,
    VoxelMethod,
)
from nir.tasks.shape_occupancy import OccupancyMethod
from nir.tasks.shape_reconstruction_predictions import write_predictions

METHODS = {
    "occupancy": OccupancyMethod,
    "voxels": VoxelMethod,
    "point_set": PointSetMethod,
    "atlasnet": AtlasMethod,
    "atlasnet_sphere": AtlasMethod,
    "pixel2mesh": Pixel2MeshMethod,
}


def build(
    recipe: ShapeReconstructionRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> ShapeReconstructionTask:
    """Build the task for the collection at `subject`."""
    collection = open_collection(subject)
    names = collection.names("train", most=recipe.train_shapes)
    trained = ShapeBatches(collection, names, device)
    method = method_from(recipe, trained, generator)
    return ShapeReconstructionTask(recipe, trained, method.to(device))


def method_from(
    recipe: ShapeReconstructionRecipe, trained: ShapeBatches, generator: Generator
) -> Method:
    """The recipe's method with its encoder."""
    if recipe.method == "pixel2mesh":
        encoder = ResNet18(width=recipe.encoder_width, generator=generator)
    else:
        encoder = _encoder(recipe, trained, generator)
    if recipe.image_weights:
        network = encoder if isinstance(encoder, ResNet18) else encoder.features
        load_image_weights(network, Path(recipe.image_weights))
    return METHODS[recipe.method](recipe, encoder, generator)


def _encoder(
    recipe: ShapeReconstructionRecipe, trained: ShapeBatches, generator: Generator
) -> nn.Module | None:
    atlas = recipe.method.startswith("atlasnet")
    code_size = recipe.atlas_code_size if atlas else recipe.code_size
    sizes = {"code_size": code_size, "generator": generator}
    if recipe.input == "none":
        return None
    if recipe.input == "index":
        return IndexEncoder(len(trained), **sizes)
    if recipe.input == "voxels":
        resolution = trained.voxels(torch.zeros(1, dtype=torch.long))["voxels"].shape[-1]
        return VoxelEncoder(width=recipe.encoder_width, resolution=resolution, **sizes)
    kind = ImageEncoder if recipe.input == "image" else PointEncoder
    return kind(width=recipe.encoder_width, **sizes)


def load_image_weights(network: ResNet18, path: Path) -> None:
    """Fill the convolutions with published ImageNet weights; the last, linear layer is left out."""
    try:
        weights = torch.load(path, weights_only=True, map_location="cpu")
        kept = {key: value for key, value in weights.items() if not key.startswith("fc.")}
        network.load_state_dict(kept)
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; run nir fetch resnet18_imagenet, or leave image_weights empty"
        ) from error
    except (RuntimeError, EOFError, AttributeError, pickle.UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), "it is cut off")
        raise InputError(
            f"{path}: not weights of ResNet-18, 64 channels wide ({reason})"
        ) from error


class ShapeReconstructionTask(Task):
    """Train one method on a collection's training shapes; predict its unseen ones."""

    def __init__(
        self, recipe: ShapeReconstructionRecipe, trained: ShapeBatches, method: Method
    ) -> None:
        self.recipe = recipe
        self.trained = trained
        self.field = method

    @property
    def collection(self) -> ShapeCollection:
        """Where all shapes come from."""
        return self.trained.collection

    def batch(self, step: int, generator: Generator) -> Batch:
        """Draw shapes, what is seen of each, and what the method's losses compare with."""
        shapes = self.trained.draw(self.recipe.batch_shapes, generator)
        draw = Draw(self.trained, shapes, generator)
        return self.seen(draw) | self.field.targets(draw)

    def seen(self, draw: Draw, *, first_view: bool = False) -> Batch:
        """What the encoder sees of the drawn shapes: of pictures a random view, or the first."""
        r, batches, shapes = self.recipe, draw.batches, draw.shapes
        if r.input == "image":
            return self._pictures(draw, first_view=first_view)
        if r.input == "points":
            cloud = batches.clouds(shapes, r.cloud_points, draw.generator, noise=r.cloud_noise)
            return {"input": cloud["points"]}
        if r.input == "voxels":
            return {"input": batches.voxels(shapes)["voxels"]}
        return {"input": shapes.to(batches.device)} if r.input == "index" else {}

    def _pictures(self, draw: Draw, *, first_view: bool) -> Batch:
        """Pictures at the recipe's size; their cameras too, for the method that needs them."""
        generator = None if first_view else draw.generator
        drawn = draw.batches.images(draw.shapes, generator)
        images, width = drawn["images"], drawn["images"].shape[-1]
        if width != self.recipe.image_size:
            size = (self.recipe.image_size,) * 2
            images = F.interpolate(images, size, mode="bilinear", align_corners=False)
        seen = {"input": images}
        if self.recipe.method == "pixel2mesh":
            if "camera_to_world" not in drawn:
                raise InputError(
                    f"{self.collection.folder}: these pictures come without cameras, which "
                    "pixel2mesh needs; use another method"
                )
            focal = [
                float(self.collection.array(draw.batches.names[i], "focal")) / width
                for i in draw.shapes.tolist()
            ]
            seen["camera_to_world"] = drawn["camera_to_world"]
            seen["focal"] = torch.tensor(focal, device=images.device)
        return seen

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The method's own."""
        return self.field.losses(batch)

    def protocol(self) -> str:
        """Which shapes are compared, how finely; a tenth of the longest edge is Chamfer's unit."""
        r = self.recipe
        count = r.test_shapes or "all"
        return f"{self.collection.folder.name}-{r.test_split}-{count}-points{r.tested_points}"

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write the surfaces of unseen shapes, and pictures of the first of them."""
        self.field.eval()
        write_predictions(self, out)
