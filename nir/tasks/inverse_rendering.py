"""Task: a scene from photographs by the simplified NeRF of Fourier Features.

Operator: volume rendering on evenly spaced, jittered samples; colour and density depend on the
position alone. The mapping is sin(x B^T), cos(x B^T) of raw scene coordinates, without 2 pi. The
scene can be turned before it is encoded: the positional encoding favours the axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.data.scenes import Scene, load_blender
from nir.encodings import FourierFeatures, Identity, ffn_positional
from nir.fields.coordinates import Field, network_from
from nir.geometry.rays import Rays, rays_of_image
from nir.operators.volume import composite
from nir.predictions import Predictions
from nir.recipes.inverse_rendering import InverseRenderingRecipe
from nir.tasks.contract import Task

RAYS_PER_CHUNK = 2048  # bounds the memory of prediction, not its result
IMAGE_METRICS = ("psnr_float", "ssim_tf")


@dataclass(frozen=True)
class RayBatch:
    """Rays, the colours that they saw, and how far each sample is moved within its cell."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    colours: Float[Tensor, "rays 3"]
    jitter: Float[Tensor, "rays samples"]


class Turned(nn.Module):
    """An encoding of turned coordinates: x -> encoding(R x)."""

    def __init__(self, encoding: nn.Module, rotation: Float[Tensor, "3 3"]) -> None:
        super().__init__()
        self.encoding = encoding
        self.features = encoding.features
        self.register_buffer("rotation", rotation)

    def forward(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch features"]:
        """Turn, then encode."""
        return self.encoding(points @ self.rotation.T)


def rotation_from(kind: str, generator: Generator) -> Float[Tensor, "3 3"]:
    """The identity, the paper's 45 degrees about z and then about x, or a uniformly random one."""
    if kind == "none":
        return torch.eye(3)
    if kind == "paper":
        root = math.sqrt(0.5)
        about_z = torch.tensor([[root, -root, 0.0], [root, root, 0.0], [0.0, 0.0, 1.0]])
        about_x = torch.tensor([[1.0, 0.0, 0.0], [0.0, root, -root], [0.0, root, root]])
        return about_x @ about_z
    orthogonal, triangle = torch.linalg.qr(torch.randn(3, 3, generator=generator))
    orthogonal = orthogonal * triangle.diagonal().sign()  # uniform over all orthogonal matrices
    return orthogonal * torch.linalg.det(orthogonal).sign()


def mapping_from(recipe: InverseRenderingRecipe, generator: Generator) -> nn.Module:
    """The recipe's encoding of turned raw coordinates, frequencies in radians per unit."""
    encoding: nn.Module
    match recipe.encoding:
        case "none":
            encoding = Identity(3)
        case "basic":
            encoding = FourierFeatures(torch.eye(3))
        case "gaussian":
            waves = torch.randn(recipe.features, 3, generator=generator) * recipe.bandwidth
            encoding = FourierFeatures(waves)
        case "nerf":  # Table 7: 2^0 ... 2^8
            octaves = 2.0 ** torch.arange(round(recipe.log2_bandwidth) + 1)
            encoding = FourierFeatures(torch.kron(octaves[:, None], torch.eye(3)))
        case _:
            dense = ffn_positional(3, count=recipe.features, log2_bandwidth=recipe.log2_bandwidth)
            encoding = FourierFeatures(dense.wave_vectors / (2 * math.pi))
    return Turned(encoding, rotation_from(recipe.rotation, generator))


def build(
    recipe: InverseRenderingRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> InverseRenderingTask:
    """Build the task for a scene in the Blender layout, seen on black."""
    scene = load_blender(subject, background=0.0, downscale=recipe.downscale)
    mapping = mapping_from(recipe, generator)
    network = network_from(recipe, mapping.features, 4, generator)
    return InverseRenderingTask(recipe, scene, Field(mapping, network).to(device), device)


class InverseRenderingTask(Task):
    """Fits a field of colour and density to the pixels of the training views."""

    def __init__(
        self, recipe: InverseRenderingRecipe, scene: Scene, field: Field, device: torch.device
    ) -> None:
        self.recipe = recipe
        self.scene = scene
        self.field = field
        self.device = device
        trained = scene.splits["train"][: recipe.trained_views]
        rays = [rays_of_image(scene.cameras, int(v), device=device).flat() for v in trained]
        self.origins = torch.cat([r.origins for r in rays])
        self.directions = torch.cat([r.directions for r in rays])
        colours = torch.from_numpy(np.ascontiguousarray(scene.images[trained])).float()
        self.colours = colours.reshape(-1, 3).to(device)

    def batch(self, step: int, generator: Generator) -> RayBatch:
        """Draw pixels of all training views; the notebook shuffles them once and walks through."""
        count = self.recipe.batch_rays
        chosen = torch.randint(
            len(self.origins), (count,), generator=generator, device=generator.device
        )
        jitter = torch.rand(
            count, self.recipe.samples, generator=generator, device=generator.device
        )
        return RayBatch(self.origins[chosen], self.directions[chosen], self.colours[chosen], jitter)

    def losses(self, batch: RayBatch) -> dict[str, Tensor]:
        """Mean squared error of the rendered colours."""
        rendered = self.render(batch.origins, batch.directions, batch.jitter)
        return {"colour": (rendered - batch.colours).square().mean()}

    def render(
        self,
        origins: Float[Tensor, "rays 3"],
        directions: Float[Tensor, "rays 3"],
        jitter: Float[Tensor, "rays samples"] | None = None,
    ) -> Float[Tensor, "rays 3"]:
        """Colours of rays: samples from near to far, each moved by up to a cell where jittered."""
        near, far, count = self.scene.near, self.scene.far, self.recipe.samples
        depths = torch.linspace(near, far, count, device=origins.device).expand(len(origins), -1)
        if jitter is not None:
            depths = depths + jitter * ((far - near) / count)
        points = origins[:, None, :] + depths[..., None] * directions[:, None, :]
        values = self.field(points)
        # Unit directions: the notebook does not multiply intervals by the direction's length.
        unit = nn.functional.normalize(directions, dim=-1)
        return composite(torch.sigmoid(values[..., :3]), values[..., 3], depths, unit).colour

    @torch.no_grad()
    def render_view(self, view: int) -> Float[Tensor, "height width 3"]:
        """Render one view of the scene."""
        rays: Rays = rays_of_image(self.scene.cameras, view, device=self.device)
        flat = rays.flat()
        parts = [
            self.render(o, d)
            for o, d in zip(
                flat.origins.split(RAYS_PER_CHUNK),
                flat.directions.split(RAYS_PER_CHUNK),
                strict=True,
            )
        ]
        return torch.cat(parts).reshape(*rays.shape, 3).clamp(0, 1).cpu()

    def predict(self, out: Path) -> None:
        """Write the tested views beside the photographs."""
        height, width = self.scene.images.shape[1:3]
        tested = self.scene.splits["test"]
        chosen = np.linspace(0, len(tested) - 1, min(self.recipe.tested_views, len(tested)))
        predictions = Predictions(out, f"blender-{width}x{height}-black-{len(chosen)}")
        for number, index in enumerate(chosen.round().astype(int)):
            view = int(tested[index])
            predictions.compare(
                f"view-{number}",
                self.render_view(view).numpy(),
                self.scene.images[view],
                metrics=IMAGE_METRICS,
                split="test",
            )
        predictions.write()
