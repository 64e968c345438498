"""Task: a signed distance field from an oriented point cloud, by the eikonal equation.

Operator: gradient. The field is zero on the surface, positive outside, and its gradient there is
the normal; nothing but |gradient| = 1 is known elsewhere. The shape fills SIREN's cube [-1, 1]^3.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from torch import Generator, Tensor
from torch.nn import functional as F

from nir.data.oriented_clouds import read_oriented_cloud
from nir.data.shapes import PointCloud
from nir.errors import InputError
from nir.fields.coordinates import Field, field_from
from nir.geometry.meshing import marching_cubes_of
from nir.geometry.surfaces import sample_surface
from nir.operators.calculus import losses_in_chunks, value_and_gradient
from nir.predictions import Predictions
from nir.recipes.signed_distance import SignedDistanceRecipe
from nir.tasks.contract import Task

METRICS = ("chamfer_l1", "normal_consistency", "f_score")
SHARPNESS = 100.0  # of the penalty on zeros off the surface: exp(-100 |Phi|)


@dataclass(frozen=True)
class SurfaceBatch:
    """Points on the surface with their normals, and points anywhere in the cube."""

    on_surface: Float[Tensor, "points 3"]
    normals: Float[Tensor, "points 3"]
    anywhere: Float[Tensor, "points 3"]


def build(
    recipe: SignedDistanceRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> SignedDistanceTask:
    """Build the task for the mesh or cloud at `subject`."""
    cloud = read_oriented_cloud(
        subject, count=recipe.cloud_points, generator=np.random.default_rng(0)
    )
    field = field_from(recipe, 3, 1, generator).to(device)
    return SignedDistanceTask(recipe, cloud, field, device)


class SignedDistanceTask(Task):
    """Fit a field to a surface by the values and slopes that a distance has."""

    def __init__(
        self,
        recipe: SignedDistanceRecipe,
        cloud: PointCloud,
        field: Field,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.cloud = cloud
        self.field = field
        self.device = device
        self.points = torch.from_numpy(cloud.points).float().to(device)
        self.normals = torch.from_numpy(cloud.normals).float().to(device)

    def batch(self, step: int, generator: Generator) -> SurfaceBatch:
        """Draw points of the cloud, and as many anywhere in the cube."""
        count = self.recipe.points_per_step
        chosen = torch.randint(len(self.points), (count,), generator=generator, device=self.device)
        anywhere = torch.rand(count, 3, generator=generator, device=self.device) * 2 - 1
        anywhere = anywhere * (1 + self.recipe.margin)
        return SurfaceBatch(self.points[chosen], self.normals[chosen], anywhere)

    def losses(self, batch: SurfaceBatch) -> dict[str, Tensor]:
        """The four terms of SIREN equation 6, each a mean over all points of the step."""
        points = torch.cat([batch.on_surface, batch.anywhere])
        normals = torch.cat([batch.normals, torch.zeros_like(batch.anywhere)])
        is_on = torch.arange(len(points), device=points.device) < len(batch.on_surface)
        return losses_in_chunks(
            lambda *chunk: self._parts(*chunk, total=len(points)),
            points,
            normals,
            is_on,
            parameters=self.field.parameters(),
            points_per_chunk=self.recipe.points_per_chunk,
        )

    def _parts(
        self,
        points: Float[Tensor, "points 3"],
        normals: Float[Tensor, "points 3"],
        is_on: Bool[Tensor, " points"],
        *,
        total: int,
    ) -> dict[str, Tensor]:
        """Sums over points, divided by the number of all."""
        value, gradient = value_and_gradient(self.field, points)
        distance, slope = value[:, 0].abs(), gradient[:, 0]
        cosine = F.cosine_similarity(slope, normals, dim=-1)
        r = self.recipe
        far = torch.where(is_on, 0.0, torch.exp(-SHARPNESS * distance))
        return {
            "surface": r.surface_weight * torch.where(is_on, distance, 0.0).sum() / total,
            "off_surface": r.off_surface_weight * far.sum() / total,
            "normal": r.normal_weight * torch.where(is_on, 1 - cosine, 0.0).sum() / total,
            "eikonal": r.eikonal_weight * (slope.norm(dim=-1) - 1).abs().sum() / total,
        }

    def surface(self) -> trimesh.Trimesh | None:
        """The zero level set in cube and margin, or None where there is none.

        The shape ends within the cube. With a margin, pieces that reach the border of space and
        keep away from all given points are none of it, and left out.
        """
        corner = np.full(3, 1 + self.recipe.margin)
        try:
            vertices, faces = marching_cubes_of(
                lambda points: -self.field(points)[:, 0],
                -corner,
                corner,
                resolution=self.recipe.mesh_resolution,
                level=0.0,
                device=self.device,
            )
        except InputError:
            return None
        if self.recipe.margin > 0:
            cell = 2 * corner[0] / self.recipe.mesh_resolution
            near = KDTree(self.cloud.points).query(vertices, distance_upper_bound=2 * cell)[0]
            faces = faces[~_is_stray(vertices, faces, border=corner[0], near=np.isfinite(near))]
        surface = trimesh.Trimesh(vertices, faces, process=False)
        surface.remove_unreferenced_vertices()
        return surface if len(faces) else None

    def mesh(self, path: Path) -> None:
        """Write the zero level set; an empty surface where there is none."""
        surface = self.surface()
        empty = trimesh.Trimesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=int), process=False)
        path.write_bytes((surface or empty).export(file_type="ply"))

    def protocol(self) -> str:
        """How the surface was extracted and compared."""
        r = self.recipe
        return f"siren-cube-mesh{r.mesh_resolution}-points{r.compared_points}"

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write points of both surfaces, whether ours is closed, and slices of the field.

        Points are divided by the longest edge of the shape's box, as the metrics expect.
        """
        surface = self.surface()
        size = float(np.ptp(self.cloud.points, axis=0).max())
        found = np.zeros((0, 6), dtype=np.float32)
        if surface is not None:
            draw = np.random.default_rng(1)
            found = _oriented(
                *sample_surface(surface.vertices, surface.faces, self.recipe.compared_points, draw),
                size,
            )
        chosen = np.random.default_rng(2).permutation(len(self.cloud.points))
        chosen = chosen[: self.recipe.compared_points]
        truth = _oriented(self.cloud.points[chosen], self.cloud.normals[chosen], size)
        predictions = Predictions(out, self.protocol())
        predictions.compare("surface", found, truth, metrics=METRICS)
        closed = surface is not None and surface.is_watertight
        predictions.number("closed", float(closed), "1", split="surface")
        predictions.number("mean_slope", self._mean_slope(), "1", split="field")
        predictions.array("slice", self._slice())
        predictions.write()

    def _mean_slope(self) -> float:
        """Mean length of the gradient in the cube, which a distance has at 1."""
        generator = torch.Generator().manual_seed(0)
        points = (torch.rand(4096, 3, generator=generator) * 2 - 1).to(self.device)
        return value_and_gradient(self.field, points)[1].norm(dim=-1).mean().item()

    def _slice(self) -> Float[np.ndarray, "n n"]:
        """The field on the plane z = 0, [x, y]."""
        n = self.recipe.slice_resolution
        axis = torch.linspace(-1, 1, n, device=self.device)
        plane = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).reshape(-1, 2)
        points = torch.cat([plane, torch.zeros_like(plane[:, :1])], dim=-1)
        return self.field(points).reshape(n, n).cpu().numpy()


def _oriented(
    points: Float[np.ndarray, "points 3"], normals: Float[np.ndarray, "points 3"], size: float
) -> Float[np.ndarray, "points 6"]:
    return np.concatenate([points / size, normals], axis=1).astype(np.float32)


def _is_stray(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    *,
    border: float,
    near: Bool[np.ndarray, " vertices"],
) -> Bool[np.ndarray, " faces"]:
    """Which faces belong to a connected piece on the border of space without a vertex `near`."""
    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    ones = np.ones(len(edges), dtype=bool)
    graph = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(len(vertices),) * 2)
    count, piece = connected_components(graph, directed=False)
    is_stray = np.zeros(count, dtype=bool)
    is_stray[piece[np.abs(vertices).max(axis=1) > border - 1e-4]] = True
    is_stray[piece[near]] = False
    return is_stray[piece[faces[:, 0]]]
