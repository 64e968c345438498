"""The plainest correct NeX in PyTorch, as the paper says it: what the project is timed against.

Float32 throughout; a homography is applied to every pixel for every plane, every sample has its
own encoding, its own direction and its own basis, and nothing is fused by hand.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nir.networks.mlp import MLP
from nir.operators.planes import homographies
from nir.tasks.nex import NexTask, TripleBatch


class PlainLoop:
    """The training step with the same start as `task`; its own weights are trained."""

    def __init__(self, task: NexTask) -> None:
        self.task, self.recipe, self.stack = task, task.recipe, task.field.stack
        device = task.field.device
        self.base = nn.Parameter(task.field.base.detach().clone())
        self.network = _copied(task.field.network.mlp).to(device)
        self.basis = _copied(task.field.basis.mlp).to(device)
        camera = task.scene.cameras.intrinsics
        self.homographies = torch.stack(
            [
                torch.as_tensor(homographies(self.stack, pose, camera), dtype=torch.float32)
                for pose in task.poses.cpu().double().numpy()
            ]
        ).to(device)
        self.depths = torch.as_tensor(self.stack.depths, dtype=torch.float32, device=device)
        to_reference = torch.as_tensor(self.stack.world_to_camera, dtype=torch.float32)
        self.places = (to_reference.to(device) @ task.poses)[:, :3, 3]
        networks = [*self.network.parameters(), *self.basis.parameters()]
        rates = (self.recipe.learning_rate, self.recipe.base_learning_rate)
        self.optimiser = torch.optim.Adam(
            [{"params": networks, "lr": rates[0]}, {"params": [self.base], "lr": rates[1]}]
        )

    def step(self, batch: TripleBatch) -> float:
        """One update; returns the loss before it."""
        loss = self._loss(batch)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def _loss(self, batch: TripleBatch) -> Tensor:
        colour, true = self._render(batch), batch.colours
        loss = torch.mean((colour - true) ** 2)
        (anchor, right, below), (anchor_true, right_true, below_true) = (
            x.reshape(3, -1, 3) for x in (colour, true)
        )
        across = torch.mean(torch.abs((right - anchor) - (right_true - anchor_true)))
        down = torch.mean(torch.abs((below - anchor) - (below_true - anchor_true)))
        loss = loss + self.recipe.gradient_weight * (across + down)
        pictures = torch.sigmoid(self.base)
        height, width = pictures.shape[-2:]
        variation = torch.sum(torch.abs(pictures[..., 1:] - pictures[..., :-1]))
        variation = variation + torch.sum(torch.abs(pictures[..., 1:, :] - pictures[..., :-1, :]))
        variation = variation / (len(pictures) * (height - 1) * (width - 1))
        return loss + self.recipe.total_variation_weight * variation

    def _render(self, batch: TripleBatch) -> Tensor:
        planes, rays = self.stack.planes, len(batch.rows)
        across, down = batch.columns + 0.5, batch.rows + 0.5
        pixels = torch.stack([across, down, torch.ones_like(across)], dim=-1)
        carried = torch.einsum("rdij,rj->dri", self.homographies[batch.views], pixels)
        positions = carried[..., :2] / carried[..., 2:]
        camera = self.stack.intrinsics
        size = positions.new_tensor([camera.width, camera.height])
        places = 2 * positions / size - 1
        outputs = self.network(self._encoded(places))
        alpha = torch.sigmoid(outputs[..., 0] - self.recipe.transparency)
        alpha = alpha * (places.abs().amax(-1) <= 1)
        members, count = self.stack.planes_per_group, self.recipe.coefficients
        shared = outputs[::members, :, 1:].repeat_interleave(members, dim=0)
        coefficients = torch.tanh(shared).reshape(planes, rays, count, 3)
        values = self.basis(_waves(self._directions(positions, batch)[..., :2], 3))
        grids = places.reshape(self.stack.groups, members, rays, 2)
        base = F.grid_sample(
            torch.sigmoid(self.base), grids, padding_mode="border", align_corners=False
        )
        base = base.permute(0, 2, 3, 1).reshape(planes, rays, 3)
        colour = torch.clamp(base + torch.sum(coefficients * values[..., None], dim=2), 0, 1)
        passed = torch.cumprod(torch.cat([torch.ones_like(alpha[:1]), 1 - alpha]), dim=0)[:-1]
        return torch.sum((alpha * passed)[..., None] * colour, dim=0)

    def _encoded(self, places: Tensor) -> Tensor:
        """What the network sees of each sample, in the order of our weights."""
        heights = torch.linspace(-1, 1, self.stack.planes, device=places.device)
        z = heights[:, None, None].expand(*places.shape[:2], 1)
        encoded = (
            _octaves(places, self.recipe.position_octaves),
            _octaves(z, self.recipe.plane_octaves),
        )
        return torch.cat(encoded, dim=-1)

    def _directions(self, positions: Tensor, batch: TripleBatch) -> Tensor:
        """Unit vectors from the camera to each point of each plane."""
        camera = self.stack.intrinsics
        x = (positions[..., 0] - camera.centre_x) / camera.focal_x
        y = (positions[..., 1] - camera.centre_y) / camera.focal_y
        points = torch.stack([x, y, torch.ones_like(x)], dim=-1) * self.depths[:, None, None]
        return F.normalize(points - self.places[batch.views], dim=-1)


def _octaves(x: Tensor, count: int) -> Tensor:
    """Sines, octave after octave, then cosines."""
    phases = torch.cat([2.0**j * (math.pi / 2) * x for j in range(count)], dim=-1)
    return torch.cat([torch.sin(phases), torch.cos(phases)], dim=-1)


def _waves(x: Tensor, count: int) -> Tensor:
    """Sines, all octaves of a coordinate before the next, then cosines (`nex_encoding`)."""
    octaves = 2.0 ** torch.arange(count, device=x.device) * (math.pi / 2)
    phases = (x[..., None] * octaves).flatten(-2)
    return torch.cat([torch.sin(phases), torch.cos(phases)], dim=-1)


def _copied(mlp: MLP) -> nn.Sequential:
    """The network as a list of layers."""
    layers: list[nn.Module] = []
    for linear in mlp.linear_maps():
        copied = nn.Linear(linear.in_features, linear.out_features)
        copied.load_state_dict(linear.state_dict())
        layers += [copied, nn.LeakyReLU()]
    is_basis = mlp.output_activation is torch.tanh
    return nn.Sequential(*layers[:-1], *([nn.Tanh()] if is_basis else []))
