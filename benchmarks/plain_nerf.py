"""The plainest correct NeRF in PyTorch, as a tutorial writes it: what the project is timed against.

Float32 throughout, every sample carries its own direction, and nothing is fused by hand.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nir.fields.radiance import RadianceField
from nir.random import generator_for
from nir.tasks.nerf import NerfTask
from nir.tasks.nerf_rays import RayBatch


class PlainNetwork(nn.Module):
    """The network as a tutorial writes it: every sample carries its direction."""

    def __init__(self, field: RadianceField) -> None:
        super().__init__()
        network = field.network
        self.octaves = [(network.position_features - 3) // 6, 4]
        self.trunk = nn.ModuleList(_copied(layer) for layer in network.trunk)
        self.density, self.feature = _copied(network.density), _copied(network.feature)
        self.view, self.colour = _copied(network.view), _copied(network.colour)

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Colour and raw density of points [n 3]."""
        position = plain_encoding(points, self.octaves[0])
        hidden = position
        for depth, layer in enumerate(self.trunk):
            if depth == 5:
                hidden = torch.cat([position, hidden], dim=-1)
            hidden = F.relu(layer(hidden))
        joined = torch.cat([self.feature(hidden), plain_encoding(directions, 4)], dim=-1)
        colour = self.colour(F.relu(self.view(joined)))
        return torch.sigmoid(colour), self.density(hidden)[..., 0]


def _copied(linear: nn.Linear) -> nn.Linear:
    copied = nn.Linear(linear.in_features, linear.out_features, device=linear.weight.device)
    copied.load_state_dict(linear.state_dict())
    return copied


def plain_encoding(x: Tensor, octaves: int) -> Tensor:
    """x, then sin(2^j x), cos(2^j x) octave by octave."""
    parts = [x]
    for j in range(octaves):
        parts += [torch.sin(2.0**j * x), torch.cos(2.0**j * x)]
    return torch.cat(parts, dim=-1)


class PlainLoop:
    """The training step that a tutorial shows: two passes, a product of transparencies, Adam."""

    def __init__(self, task: NerfTask) -> None:
        self.task = task
        self.coarse = PlainNetwork(task.field.coarse)
        self.fine = PlainNetwork(task.field.fine)
        parameters = [*self.coarse.parameters(), *self.fine.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=task.recipe.learning_rate, eps=1e-7)

    def step(self, batch: RayBatch) -> float:
        """One update; returns the loss before it."""
        generator = generator_for(batch.seed, "samples", device=batch.colours.device)
        near, far = self.task.settings.near, self.task.settings.far
        rays, count = len(batch.colours), self.task.settings.coarse_samples
        along = torch.linspace(0, 1, count, device=batch.colours.device)
        depths = (near * (1 - along) + far * along).expand(rays, count)
        middle = 0.5 * (depths[:, 1:] + depths[:, :-1])
        lower = torch.cat([depths[:, :1], middle], dim=-1)
        upper = torch.cat([middle, depths[:, -1:]], dim=-1)
        random = torch.rand(depths.shape, generator=generator, device=depths.device)
        depths = lower + (upper - lower) * random
        colour, weights = self._render(self.coarse, batch, depths)
        loss = torch.mean((colour - batch.colours) ** 2)
        added = plain_importance(
            depths, weights.detach(), self.task.settings.fine_samples, generator
        )
        depths = torch.sort(torch.cat([depths, added], dim=-1), dim=-1)[0]
        colour, _ = self._render(self.fine, batch, depths)
        loss = loss + torch.mean((colour - batch.colours) ** 2)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def _render(self, network: nn.Module, batch: RayBatch, depths: Tensor) -> tuple[Tensor, Tensor]:
        rays = batch.rays
        points = rays.origins[:, None] + depths[..., None] * rays.directions[:, None]
        directions = rays.view_directions[:, None].expand(points.shape)
        rgb, density = network(points.reshape(-1, 3), directions.reshape(-1, 3))
        rgb, density = rgb.reshape(points.shape), density.reshape(depths.shape)
        steps = depths[:, 1:] - depths[:, :-1]
        steps = torch.cat([steps, torch.full_like(steps[:, :1], 1e10)], dim=-1)
        alpha = 1 - torch.exp(-F.relu(density) * steps * rays.directions.norm(dim=-1)[:, None])
        ones = torch.ones_like(alpha[:, :1])
        passed = torch.cumprod(torch.cat([ones, 1 - alpha + 1e-10], dim=-1), dim=-1)[:, :-1]
        weights = alpha * passed
        white = 1 - weights.sum(dim=-1, keepdim=True)
        return (weights[..., None] * rgb).sum(dim=1) + white, weights


def plain_importance(
    depths: Tensor, weights: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Inverse transform sampling, as in nerf-pytorch's sample_pdf."""
    edges, weights = 0.5 * (depths[:, 1:] + depths[:, :-1]), weights[:, 1:-1] + 1e-5
    cumulative = torch.cumsum(weights / weights.sum(dim=-1, keepdim=True), dim=-1)
    cumulative = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative], dim=-1)
    u = torch.rand((len(depths), count), generator=generator, device=depths.device)
    index = torch.searchsorted(cumulative, u, right=True)
    below, above = (index - 1).clamp(min=0), index.clamp(max=cumulative.shape[-1] - 1)
    low, high = cumulative.gather(1, below), cumulative.gather(1, above)
    mass = torch.where(high - low < 1e-5, torch.ones_like(low), high - low)
    left, right = edges.gather(1, below), edges.gather(1, above)
    return left + (u - low) / mass * (right - left)
