"""The rays that radiance fields are trained on: random pixels of the training views."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.data.scenes import Scene
from nir.geometry.rays import Rays, ndc_rays, random_pixels, rays_of_batch
from nir.recipes.nerf import NerfRecipe


@dataclass(frozen=True)
class RayBatch:
    """Rays (in NDC, where the scene is), the colours seen along them, a seed for the samples."""

    rays: Rays
    colours: Float[Tensor, "rays 3"]
    seed: int


def bounds_of(recipe: NerfRecipe, scene: Scene) -> tuple[float, float]:
    """Where sampling of rays begins and ends: 0 and 1 in NDC, else the recipe's or the scene's."""
    if scene.ndc:
        return 0.0, 1.0
    return (recipe.near, recipe.far) if recipe.far else (scene.near, scene.far)


class TrainingRays:
    """The training views of a scene on a device, and how pixels are drawn from them."""

    def __init__(self, recipe: NerfRecipe, scene: Scene, device: torch.device) -> None:
        self.recipe, self.scene = recipe, scene
        train = scene.splits["train"]
        self.images = torch.from_numpy(scene.images[train]).to(device)
        self.poses = torch.as_tensor(
            scene.cameras.camera_to_world[train], dtype=torch.float32, device=device
        )

    def draw(self, step: int, generator: Generator) -> RayBatch:
        """Draw pixels of one view or of all, near the middle during the first steps if asked."""
        views, height, width = self.images.shape[:3]
        is_cropped = step < self.recipe.centre_crop_steps
        pixels = random_pixels(
            self.recipe.rays,
            views=views,
            width=width,
            height=height,
            generator=generator,
            one_view=self.recipe.rays_from_one_view,
            centre_share=self.recipe.centre_crop_share if is_cropped else 1.0,
        )
        intrinsics = self.scene.cameras.intrinsics
        rays = rays_of_batch(self.poses, intrinsics, pixels)
        return RayBatch(
            ndc_rays(rays, intrinsics) if self.scene.ndc else rays,
            self.images[pixels.views, pixels.rows, pixels.columns],
            generator.initial_seed(),
        )
