"""Task: a scene as a scene representation network, the second method beside radiance fields.

Operator: a learned march along each ray (`fields_marched`). It sees the same rays as NeRF and is
asked for the same views, so that both stand in one table. One network for one scene: no
hypernetwork, no prior learned from other scenes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from nir.data.scenes import Scene
from nir.fields.marched import MarchedField
from nir.geometry.rays import Rays, depth_from_ndc, ndc_rays, rays_of_image
from nir.networks.mlp import parameter_count
from nir.predictions import Predictions
from nir.random import generator_for
from nir.recipes.nerf import NerfRecipe
from nir.tasks.contract import Task
from nir.tasks.nerf_predictions import compare_depth, compare_view, protocol_of, truth_of
from nir.tasks.nerf_rays import RayBatch, TrainingRays, bounds_of

IMAGE_WEIGHT = 200.0  # train.py: l1_weight, of the squared error of pictures in [-1, 1]
BEHIND_WEIGHT = 10.0  # train.py: reg_weight 1e-3; srns.py: times 10,000
START_DEVIATION = 5e-4  # custom_layers.py: all marches begin nearly, not exactly, alike
RAYS_AT_ONCE = 2**14


class SceneRepresentationTask(Task):
    """Fit one scene representation network to the training views."""

    def __init__(
        self,
        recipe: NerfRecipe,
        subject: Path,
        scene: Scene,
        *,
        device: torch.device,
        generator: Generator,
    ) -> None:
        self.recipe, self.subject, self.scene = recipe, subject, scene
        self.field = MarchedField(
            width=recipe.width,
            marching_steps=recipe.marching_steps,
            units=recipe.marcher_units,
            generator=generator,
        ).to(device)
        self.training_rays = TrainingRays(recipe, scene, device)
        self.near = bounds_of(recipe, scene)[0]
        self.device = device

    def batch(self, step: int, generator: Generator) -> RayBatch:
        """Draw pixels as NeRF does."""
        return self.training_rays.draw(step, generator)

    def losses(self, batch: RayBatch) -> dict[str, Tensor]:
        """Squared errors of colours, and of depths behind the camera (SRN, equation 6)."""
        noise = torch.randn(
            len(batch.colours),
            generator=generator_for(batch.seed, "starts", device=self.device),
            device=self.device,
        )
        colour, depth = self._march(batch.rays, START_DEVIATION * noise)
        error = torch.mean((2 * (colour - batch.colours)) ** 2)
        behind = torch.mean(depth.clamp_max(0) ** 2)
        return {"image": IMAGE_WEIGHT * error, "behind": BEHIND_WEIGHT * behind}

    def _march(self, rays: Rays, offset: Float[Tensor, " rays"]) -> tuple[Tensor, Tensor]:
        """Marches begin at the near bound; the code's begin just before the camera."""
        return self.field(rays.origins, rays.directions, self.near + offset)

    @torch.no_grad()
    def view(
        self, view: int
    ) -> tuple[Float[np.ndarray, "height width 3"], Float[np.ndarray, "height width"]]:
        """Picture and depth (in the units of the scene's files) of one camera of the scene."""
        cameras = self.scene.cameras
        rays = rays_of_image(cameras, view, device=self.device)
        sampled = (ndc_rays(rays, cameras.intrinsics) if self.scene.ndc else rays).flat()
        parts = []
        for first in range(0, len(sampled), RAYS_AT_ONCE):
            some = sampled[first : first + RAYS_AT_ONCE]
            parts.append(self._march(some, torch.zeros_like(some.origins[:, 0])))
        colour = torch.cat([part[0] for part in parts]).reshape(*rays.shape, 3).cpu()
        depth = torch.cat([part[1] for part in parts]).reshape(*rays.shape).cpu()
        if self.scene.ndc:
            depth = depth_from_ndc(depth, rays.to("cpu"))
        scale = self.scene.world_from_scene.scale
        return colour.numpy(), (depth.numpy() * scale).astype(np.float32)

    def predict(self, out: Path) -> None:
        """Write test views and their depths."""
        predictions = Predictions(out, protocol_of(self.scene, self.recipe))
        truth = truth_of(self)
        for number, view in enumerate(self.scene.splits["test"]):
            colour, depth = self.view(int(view))
            compare_view(predictions, number, colour, self, truth)
            compare_depth(predictions, number, depth, truth)
        predictions.number("parameters", parameter_count(self.field), "1")
        predictions.number("evaluations_per_ray", self.recipe.marching_steps + 1, "1")
        predictions.write()
