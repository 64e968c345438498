"""Task: a scene as planes whose colours turn with the view, from photographs (NeX).

Operator: warping and over-compositing of parallel planes. A step draws *anchors*, pixels of which
the right and the lower neighbour are rendered too, so that the loss sees finite differences of the
picture. The nearest-view baseline is NeRF's. What is predicted is in `tasks.nex_predictions`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from nir.bases import basis_for
from nir.data.scenes import Scene
from nir.fields.planes import PlaneField, outputs_needed, total_variation
from nir.geometry.rays import Pixels, random_pixels, rays_of_batch
from nir.networks.planes import PlaneNetwork
from nir.operators.planes import PlaneRendering, PlaneStack, composite_planes
from nir.random import generator_for
from nir.recipes.nex import NexRecipe
from nir.tasks.contract import Task
from nir.tasks.nerf import NearestViewTask
from nir.tasks.nex_predictions import predict_planes
from nir.tasks.nex_scene import load_forward_scene, stack_for

RIGHT_AND_BELOW = ((0, 0), (0, 1), (1, 0))
"""Rows and columns added to an anchor: itself, its right and its lower neighbour."""


def build(
    recipe: NexRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> NexTask | NearestViewTask:
    """Build the task for the scene in the folder `subject`."""
    scene = load_forward_scene(recipe, Path(subject))
    if recipe.method == "nearest_view":
        return NearestViewTask(recipe, Path(subject), scene)
    stack = stack_for(recipe, scene, Path(subject))
    return NexTask(recipe, Path(subject), scene, field_for(recipe, stack, generator).to(device))


def field_for(recipe: NexRecipe, stack: PlaneStack, generator: Generator) -> PlaneField:
    """The field that a recipe asks for."""
    base_shrink = recipe.base_shrink if recipe.base == "explicit" else 0
    basis = basis_for(
        recipe.basis,
        recipe.coefficients,
        octaves=recipe.basis_octaves,
        width=recipe.basis_width,
        generator=generator,
    )
    network = PlaneNetwork(
        outputs=outputs_needed(basis.count, base_shrink),
        width=recipe.width,
        hidden_layers=recipe.hidden_layers,
        position_octaves=recipe.position_octaves,
        plane_octaves=recipe.plane_octaves,
        encoding=recipe.encoding,
        bandwidth=recipe.bandwidth,
        activation=recipe.activation,
        initialisation="siren" if recipe.activation == "sine" else "pytorch",
        generator=generator,
    )
    return PlaneField(
        stack,
        network=network,
        basis=basis,
        base_shrink=base_shrink,
        transparency=recipe.transparency,
        generator=generator,
    )


@dataclass(frozen=True)
class TripleBatch:
    """Anchors, then their right, then their lower neighbours, and the colours seen there.

    channels: the colour channel of which a loss on derivatives asks, one a ray.
    """

    views: Int[Tensor, " rays"]
    rows: Int[Tensor, " rays"]
    columns: Int[Tensor, " rays"]
    colours: Float[Tensor, "rays 3"]
    channels: Int[Tensor, " rays"]


class NexTask(Task):
    """Fit a field of planes to the training views."""

    def __init__(self, recipe: NexRecipe, subject: Path, scene: Scene, field: PlaneField) -> None:
        self.recipe, self.subject, self.scene, self.field = recipe, subject, scene, field
        train = scene.splits["train"]
        self.images = torch.from_numpy(scene.images[train]).to(field.device)
        self.poses = torch.as_tensor(
            scene.cameras.camera_to_world[train], dtype=torch.float32, device=field.device
        )

    def batch(self, step: int, generator: Generator) -> TripleBatch:
        """Draw anchors of one view, each view once an epoch, or of all views."""
        views, height, width = self.images.shape[:3]
        anchors = random_pixels(
            self.recipe.anchors,
            views=views,
            width=width - 1,
            height=height - 1,
            generator=generator,
        )
        drawn = anchors.views
        if self.recipe.rays_from_one_view:
            drawn = torch.full_like(drawn, view_of_step(step, views))
        rows = torch.cat([anchors.rows + down for down, _ in RIGHT_AND_BELOW])
        columns = torch.cat([anchors.columns + right for _, right in RIGHT_AND_BELOW])
        drawn = drawn.repeat(len(RIGHT_AND_BELOW))
        channels = torch.randint(
            3, drawn.shape, generator=generator, device=generator.device, dtype=torch.int64
        )
        return TripleBatch(drawn, rows, columns, self.images[drawn, rows, columns], channels)

    def losses(self, batch: TripleBatch) -> dict[str, Tensor]:
        """Squared error, error of image gradients, and total variation of k0 (NeX, section 3.5)."""
        recipe = self.recipe
        textures = None if self.field.base is None else self.field.base_texture()
        shifts = None
        if recipe.gradient_loss == "analytic":
            shifts = batch.colours.new_zeros(len(batch.colours), 2).requires_grad_()
        colour = self.render(batch, textures, shifts).colour
        terms = {"colour": torch.mean((colour - batch.colours) ** 2)}
        if recipe.gradient_loss != "none" and recipe.gradient_weight:
            error = (
                error_of_differences(colour - batch.colours)
                if shifts is None
                else self._error_of_derivatives(colour, shifts, batch)
            )
            terms["gradient"] = recipe.gradient_weight * error
        if textures is not None and recipe.total_variation_weight:
            variation = total_variation(textures).mean()
            terms["variation"] = recipe.total_variation_weight * variation
        return terms

    def render(
        self,
        batch: TripleBatch,
        textures: Tensor | None = None,
        shifts: Float[Tensor, "rays 2"] | None = None,
    ) -> PlaneRendering:
        """Render a batch's pixels; places on planes are found in full precision.

        shifts: zeros, columns and rows added to the pixels, for derivatives by them.
        """
        camera, stack = self.scene.cameras.intrinsics, self.field.stack
        with torch.autocast(self.field.device.type, enabled=False):
            rays = rays_of_batch(self.poses, camera, Pixels(batch.views, batch.rows, batch.columns))
            if shifts is not None:
                slopes = shifts / shifts.new_tensor([camera.focal_x, camera.focal_y])
                turned = self.poses[batch.views, :3, :2] @ slopes[..., None]
                rays = dataclasses.replace(rays, directions=rays.directions + turned[..., 0])
            positions, directions = stack.positions(rays), stack.directions(rays)
            depths = stack.ray_depths(rays)
        colour, weights = self.field(
            positions, directions, textures=textures, twice_differentiable=shifts is not None
        )
        return composite_planes(colour, weights, depths)

    def _error_of_derivatives(
        self, colour: Float[Tensor, "rays 3"], shifts: Float[Tensor, "rays 2"], batch: TripleBatch
    ) -> Float[Tensor, ""]:
        """Of colours by the pixel's place, against central differences of the photograph.

        Of each ray one channel, drawn with the batch: one pass backwards gives them all.
        """
        asked = colour.gather(1, batch.channels[:, None]).sum()
        (derivatives,) = torch.autograd.grad(asked, shifts, create_graph=True)
        seen = torch.stack(
            [
                part[batch.views, batch.rows, batch.columns, batch.channels]
                for part in self.image_gradients
            ],
            dim=1,
        )
        return (derivatives - seen).abs().mean(0).sum()

    @cached_property
    def image_gradients(self) -> tuple[Tensor, ...]:
        """Derivatives of the training views across and down."""
        return torch.gradient(self.images, dim=(2, 1))

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """The networks learn at the recipe's rate, the explicit base colour faster."""
        networks = [*self.field.network.parameters(), *self.field.basis.parameters()]
        groups: list[dict[str, Any]] = [{"params": networks, "lr": learning_rate}]
        if self.field.base is not None:
            groups.append({"params": [self.field.base], "lr": self.recipe.base_learning_rate})
        return groups

    def predict(self, out: Path) -> None:
        """Write test views with depth, and films."""
        predict_planes(self, out)


def error_of_differences(error: Float[Tensor, "rays 3"]) -> Float[Tensor, ""]:
    """Mean |difference across| + mean |difference down| of the errors of triples (nex-code)."""
    anchor, *neighbours = error.unflatten(0, (len(RIGHT_AND_BELOW), -1))
    return sum(((neighbour - anchor).abs().mean() for neighbour in neighbours), error.new_zeros(()))


def view_of_step(step: int, views: int) -> int:
    """The view that a step sees: all views once an epoch, in an order that changes.

    >>> sorted(view_of_step(step, 3) for step in range(3, 6))
    [0, 1, 2]
    """
    epoch, place = divmod(step, views)
    order = torch.randperm(views, generator=generator_for("views of an epoch", epoch))
    return int(order[place])
