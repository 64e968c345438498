"""Pixel2Mesh: a sphere is deformed, made finer, and deformed again, looking at the picture.

Each vertex sees the picture's feature maps where the camera projects it (*perceptual pooling*), and
its neighbours through graph convolutions. A *stage* deforms; between stages every edge gets a new
vertex in its middle. Vertices are [shapes, vertices, features].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nir.geometry.templates import edges_of, icosphere, subdivided
from nir.networks.occupancy import start_like_pytorch

STAGES = 3


@dataclass(frozen=True)
class Projection:
    """Cameras that look at the shapes: OpenCV axes, square pixels, the centre in the middle."""

    camera_to_world: Float[Tensor, "shapes 4 4"]
    focal: Float[Tensor, " shapes"]
    """Focal length in widths of the picture."""

    def positions(
        self, points: Float[Tensor, "shapes points 3"]
    ) -> Float[Tensor, "shapes points 2"]:
        """Where points lie in the picture, which spans [-1, 1]², x to the right and y down."""
        rotation, centre = self.camera_to_world[:, :3, :3], self.camera_to_world[:, :3, 3]
        seen = (points - centre[:, None]) @ rotation
        depth = seen[..., 2:].clamp_min(1e-3)
        return 2 * self.focal[:, None, None] * seen[..., :2] / depth


def pooled_features(
    maps: list[Float[Tensor, "shapes _c _h _w"]], positions: Float[Tensor, "shapes points 2"]
) -> Float[Tensor, "shapes points f"]:
    """Features of all maps at positions in [-1, 1]², bilinear, zero outside of the picture."""
    sampled = [
        F.grid_sample(one, positions[:, :, None], align_corners=False)[..., 0] for one in maps
    ]
    return torch.cat(sampled, dim=1).transpose(1, 2)


class GraphConvolution(nn.Module):
    """W0 x + W1 (mean of the neighbours' x)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own = nn.Linear(inputs, outputs)
        self.neighbours = nn.Linear(inputs, outputs, bias=False)

    def forward(
        self, x: Float[Tensor, "shapes vertices i"], adjacency: Tensor
    ) -> Float[Tensor, "shapes vertices o"]:
        """Apply the layer; `adjacency` is sparse, its rows sum to one."""
        mapped = self.neighbours(x)
        shapes, vertices, width = mapped.shape
        rows = mapped.transpose(0, 1).reshape(vertices, shapes * width)
        mean = torch.sparse.mm(adjacency, rows).reshape(vertices, shapes, width)
        return self.own(x) + mean.transpose(0, 1)


class DeformationStage(nn.Module):
    """Graph convolutions in residual pairs, then displaced coordinates (Pixel2Mesh section 3.2)."""

    def __init__(self, inputs: int, *, width: int, blocks: int) -> None:
        super().__init__()
        self.first = GraphConvolution(inputs, width)
        self.pairs = nn.ModuleList(
            nn.ModuleList(GraphConvolution(width, width) for _ in range(2)) for _ in range(blocks)
        )
        self.last = GraphConvolution(width, 3)

    def forward(
        self, features: Float[Tensor, "shapes vertices i"], adjacency: Tensor
    ) -> tuple[Float[Tensor, "shapes vertices 3"], Float[Tensor, "shapes vertices w"]]:
        """Displacements and the features that the next stage sees."""
        x = torch.relu(self.first(features, adjacency))
        for first, second in self.pairs:
            inner = torch.relu(second(torch.relu(first(x, adjacency)), adjacency))
            x = (x + inner) / 2
        return self.last(x, adjacency), x


@dataclass(frozen=True)
class DeformedStage:
    """What a stage leaves: vertices before and after, and the edges between them."""

    before: Float[Tensor, "shapes vertices 3"]
    after: Float[Tensor, "shapes vertices 3"]
    edges: Int[Tensor, "edges 2"]


class Pixel2Mesh(nn.Module):
    """Three stages from an icosphere of 10 · 4^n + 2 vertices, four times as many each time.

    image_channels: of all feature maps together; ResNet-18 has 960, which with three coordinates
    makes the paper's 963. The paper's template has 156, 618 and 2466 vertices, an icosphere of two
    subdivisions 162, 642 and 2562.
    """

    def __init__(
        self,
        *,
        image_channels: int = 960,
        width: int = 192,
        blocks: int = 6,
        subdivisions: int = 2,
        radius: float = 0.35,
        generator: Generator,
    ) -> None:
        super().__init__()
        inputs = image_channels + 3
        self.stages = nn.ModuleList(
            DeformationStage(inputs + (width if stage else 0), width=width, blocks=blocks)
            for stage in range(STAGES)
        )
        start_like_pytorch(self, generator)
        with torch.no_grad():
            for stage in self.stages:  # the sphere is where learning starts from
                for parameter in stage.last.parameters():
                    parameter.mul_(0.1)
        vertices, faces = icosphere(subdivisions)
        self.register_buffer(
            "template", torch.from_numpy(radius * vertices).float(), persistent=False
        )
        self.faces = _register_levels(self, faces, len(vertices))

    def forward(
        self, maps: list[Float[Tensor, "shapes _c _h _w"]], projection: Projection
    ) -> list[DeformedStage]:
        """The mesh after each stage; `faces` are those of the last."""
        vertices = self.template.expand(len(maps[0]), -1, -1)
        carried, found = None, []
        for number, stage in enumerate(self.stages):
            if carried is not None:
                middles = getattr(self, f"edges_{number - 1}")
                vertices, carried = (
                    _with_middles(vertices, middles),
                    _with_middles(carried, middles),
                )
            seen = pooled_features(maps, projection.positions(vertices))
            features = [vertices, seen] if carried is None else [vertices, seen, carried]
            moved, carried = stage(
                torch.cat(features, dim=-1), getattr(self, f"adjacency_{number}")
            )
            edges = getattr(self, f"edges_{number}")
            found.append(DeformedStage(vertices, vertices + moved, edges))
            vertices = vertices + moved
        return found


def _with_middles(
    values: Float[Tensor, "shapes vertices f"], edges: Int[Tensor, "edges 2"]
) -> Float[Tensor, "shapes finer f"]:
    """Graph unpooling: a new vertex in the middle of every edge."""
    middles = (values[:, edges[:, 0]] + values[:, edges[:, 1]]) / 2
    return torch.cat([values, middles], dim=1)


def _register_levels(module: nn.Module, faces: np.ndarray, vertices: int) -> np.ndarray:
    """Keep each stage's edges and mean-of-neighbours matrix; returns the faces of the last."""
    for number in range(STAGES):
        edges = edges_of(faces)
        module.register_buffer(f"edges_{number}", torch.from_numpy(edges), persistent=False)
        both = np.concatenate([edges, edges[:, ::-1]])
        weights = 1 / np.bincount(both[:, 0], minlength=vertices)[both[:, 0]]
        matrix = torch.sparse_coo_tensor(
            torch.from_numpy(both.T.copy()),
            torch.from_numpy(weights).float(),
            (vertices,) * 2,
            check_invariants=False,
        )
        module.register_buffer(f"adjacency_{number}", matrix.coalesce(), persistent=False)
        if number < STAGES - 1:
            faces = subdivided(faces, edges, vertices)
            vertices += len(edges)
    return faces
