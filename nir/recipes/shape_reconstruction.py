"""Recipes of shapes reconstructed from pictures, points or voxels (Occupancy Networks)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import Recipe, another_subject, at_least


@dataclass(frozen=True, kw_only=True)
class ShapeReconstructionRecipe(Recipe):
    """Occupancy Networks from one picture; autonomousvision/occupancy_networks configs/img.

    Values of the other methods are those of their papers or of their form in the same code.
    """

    # Neither says how many; the released picture model took 2.9 million (its issue 78).
    steps: int = 300_000
    learning_rate: float = 1e-4  # configs/default.yaml
    log_every: int = 100
    input: Literal["image", "points", "voxels", "index", "none"] = "image"
    method: Literal[
        "occupancy", "voxels", "point_set", "pixel2mesh", "atlasnet", "atlasnet_sphere"
    ] = "occupancy"
    batch_shapes: int = 64
    train_shapes: int = 0  # the first so many of the split, evenly from all; 0: all
    test_shapes: int = 0
    test_split: Literal["train", "val", "test"] = "test"

    code_size: int = 256
    latent_size: int = 0  # of the variational code; its posterior sees points and occupancies
    encoder_width: int = 64  # channels of ResNet-18's first stage; others see their recipes
    image_size: int = 224
    # ImageNet's weights, a file or resnet18_imagenet (after nir fetch resnet18_imagenet); "": none
    image_weights: str = another_subject()
    cloud_points: int = 300  # configs/pointcloud/onet.yaml
    cloud_noise: float = 0.005  # same file; 0.05 in the paper's unit of a tenth of the edge

    decoder: Literal["conditional", "conditional_plain", "added"] = "conditional"
    decoder_width: int = 256
    points_per_shape: int = 2048  # section 4; asked of each shape in a step
    sampling: Literal["uniform", "equal", "surface"] = "uniform"  # Table 4a

    threshold: float = 0.2  # configs/img/onet.yaml, chosen on validation shapes
    start_cells: int = 32  # section 3.3: MISE from 32³ in two steps to 128³
    doublings: int = 2
    faces_at_most: int = 0  # simplification; off in the released configurations
    refinement_steps: int = 0  # likewise

    voxel_width: int = 32  # of the voxel decoder's last layer
    voxel_threshold: float = 0.4  # configs/img/r2n2.yaml
    set_width: int = 512
    set_points: int = 1024  # PSGN
    surface_targets: int = 2500  # points of the true surface that losses compare with
    atlas_code_size: int = 1024  # AtlasNet's own, instead of code_size
    atlas_patches: int = 25
    atlas_points: int = 2500  # of all patches together
    graph_width: int = 192  # Pixel2Mesh
    graph_blocks: int = 6
    graph_subdivisions: int = 2  # of the first icosphere: 162 vertices, the paper's has 156
    # Pixel2Mesh's lengths are 0.57 of those in the unit cube (im2mesh/pix2mesh, adjust_losses).
    length_scale: float = 0.57
    chamfer_weight: float = 3000.0
    chamfer_from_prediction: float = 0.55
    edge_weight: float = 300.0
    laplacian_weight: float = 1500.0
    laplacian_first_stage: float = 0.3
    move_weight: float = 100.0
    normal_weight: float = 0.5

    tested_points: int = 100_000  # im2mesh/eval.py, in space and on surfaces
    voxel_resolutions: tuple[int, ...] = ()  # grids of the truth to compare with, cells an axis
    shown_shapes: int = 4
    shown_pixels: int = 200
    turntable_frames: int = 0  # of a film that turns the first shape beside the truth; 0: none

    def check(self, where: str) -> None:
        """Refuse methods that lack what they look at, and sizes that nothing can have."""
        super().check(where)
        at_least(where, 1, batch_shapes=self.batch_shapes, points_per_shape=self.points_per_shape)
        at_least(where, 1, start_cells=self.start_cells, shown_pixels=self.shown_pixels)
        if self.method == "pixel2mesh" and self.input != "image":
            raise InputError(f"{where}.input: pixel2mesh needs images, not {self.input}")
        if self.input == "none" and not (self.latent_size and self.method == "occupancy"):
            raise InputError(f"{where}.input: none is for occupancy with a latent_size above 0")
        for key in ("threshold", "voxel_threshold"):
            if not 0 < getattr(self, key) < 1:
                raise InputError(f"{where}.{key}: {getattr(self, key)} is not between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class PointsRecipe(ShapeReconstructionRecipe):
    """Occupancy Networks from noisy points; configs/pointcloud/onet.yaml."""

    input: Literal["image", "points", "voxels", "index", "none"] = "points"
    code_size: int = 512
    encoder_width: int = 512  # of the PointNet's blocks


@dataclass(frozen=True, kw_only=True)
class VoxelsRecipe(ShapeReconstructionRecipe):
    """Occupancy Networks from 32³ voxels; configs/voxels/onet.yaml."""

    input: Literal["image", "points", "voxels", "index", "none"] = "voxels"
    encoder_width: int = 32  # channels of the first convolution
    points_per_shape: int = 1024


@dataclass(frozen=True, kw_only=True)
class RepresentationRecipe(ShapeReconstructionRecipe):
    """A code for each training shape (section 4.1); configs/representation_power."""

    input: Literal["image", "points", "voxels", "index", "none"] = "index"
    test_split: Literal["train", "val", "test"] = "train"
    code_size: int = 512
    points_per_shape: int = 1024
    threshold: float = 0.5
    voxel_resolutions: tuple[int, ...] = (16, 32, 64, 128)


@dataclass(frozen=True, kw_only=True)
class GenerationRecipe(ShapeReconstructionRecipe):
    """The unconditional variational model (section 4.5); configs/unconditional."""

    input: Literal["image", "points", "voxels", "index", "none"] = "none"
    decoder: Literal["conditional", "conditional_plain", "added"] = "added"
    decoder_width: int = 128
    latent_size: int = 128
    code_size: int = 0
    threshold: float = 0.5
