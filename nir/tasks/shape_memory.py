"""Task: one shape in a given number of bytes, as voxels, points, triangles, or a network.

Operator: identity, on signed distances clamped as DeepSDF does. Networks for all budgets are
trained at once, each for itself; lists need no training. Everything is compared in the unit cube.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.data.shape_sampling import DistanceSamples, distance_samples
from nir.data.shape_storage import stored_as_mesh, stored_as_points, stored_as_voxels
from nir.data.shape_views import portrait, write_glb, write_turntable
from nir.data.shapes import Shape, normalised, read_shape
from nir.files import written_whole
from nir.geometry.multiresolution import halvings_of, multiresolution_surface
from nir.geometry.surfaces import sample_surface
from nir.networks.mlp import MLP, parameter_count
from nir.predictions import Item, Predictions
from nir.recipes.shape_memory import ShapeMemoryRecipe
from nir.tasks.contract import Task

METRICS = ("chamfer_l1", "f_score", "failed")
STORED = {"voxels": stored_as_voxels, "points": stored_as_points, "mesh": stored_as_mesh}


@dataclass(frozen=True)
class Distances:
    """Points and signed distances, in DeepSDF's ball."""

    points: Float[Tensor, "points 3"]
    distances: Float[Tensor, " points"]


def widest(recipe: ShapeMemoryRecipe, budget: int) -> int:
    """The width of the widest network whose numbers fit into `budget` bytes."""
    layers, per_number = recipe.hidden_layers, recipe.stored_bits // 8

    def size(width: int) -> int:
        return per_number * (4 * width + layers * (width + 1) * width + width + 1)

    return next(width for width in itertools.count(1) if size(width + 1) > budget)


def build(
    recipe: ShapeMemoryRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> ShapeMemoryTask:
    """Build the task for the mesh at `subject`."""
    shape, _ = normalised(read_shape(subject), "unit_sphere")
    networks, samples = [], None
    if recipe.representation == "network":
        samples = distance_samples(shape, recipe.pool_points, np.random.default_rng(0))
        networks = [
            MLP(
                3,
                1,
                width=widest(recipe, budget),
                hidden_layers=recipe.hidden_layers,
                activation=recipe.activation,
                omega_0=recipe.omega_0,
                first_omega_0=recipe.first_omega_0,
                generator=generator,
            )
            for budget in recipe.budgets
        ]
    field = nn.ModuleList(networks or [nn.Linear(1, 1, bias=False)]).to(device)
    return ShapeMemoryTask(recipe, shape, field, samples, device)


class ShapeMemoryTask(Task):
    """Hold a shape in ever more bytes."""

    def __init__(
        self,
        recipe: ShapeMemoryRecipe,
        shape: Shape,
        field: nn.ModuleList,
        samples: DistanceSamples | None,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.shape = shape
        self.field = field
        self.device = device
        self.samples = None
        if samples is not None:
            self.samples = Distances(
                torch.from_numpy(samples.points).to(device),
                torch.from_numpy(samples.distances).to(device),
            )

    @property
    def largest(self) -> MLP:
        """The network of the largest budget, wherever that stands among the budgets."""
        budgets = self.recipe.budgets
        return self.field[budgets.index(max(budgets))]

    def batch(self, step: int, generator: Generator) -> Distances:
        """Draw samples; lists have none."""
        if self.samples is None:
            nothing = torch.zeros(0, 3, device=self.device)
            return Distances(nothing, nothing[:, 0])
        count = (self.recipe.points_per_step,)
        chosen = torch.randint(
            len(self.samples.points), count, generator=generator, device=generator.device
        ).to(self.device)
        return Distances(self.samples.points[chosen], self.samples.distances[chosen])

    def losses(self, batch: Distances) -> dict[str, Tensor]:
        """Clamped L1 of every network; 0 for a list, which is not trained."""
        if self.samples is None:
            return {"nothing": self.field[0].weight.sum() * 0}
        delta = self.recipe.clamp
        truth = batch.distances.clamp(-delta, delta)
        return {
            f"bytes_{budget}": (network(batch.points)[:, 0].clamp(-delta, delta) - truth)
            .abs()
            .mean()
            for budget, network in zip(self.recipe.budgets, self.field, strict=True)
        }

    def surface(self, network: MLP, resolution: int) -> trimesh.Trimesh:
        """A network's zero level, its numbers rounded to the bits they are stored in."""
        kept = {key: value.clone() for key, value in network.state_dict().items()}
        if self.recipe.stored_bits == 16:
            network.load_state_dict({key: v.half().to(v.dtype) for key, v in kept.items()})
        start_cells, doublings = halvings_of(resolution)
        found = multiresolution_surface(
            lambda points: -network(points)[:, 0],
            -np.ones(3),
            np.ones(3),
            level=0.0,
            start_cells=start_cells,
            doublings=doublings,
            device=self.device,
        )
        network.load_state_dict(kept)
        return trimesh.Trimesh(found.vertices, found.faces, process=False)

    def stored(self) -> dict[int, tuple[trimesh.Trimesh | np.ndarray, int]]:
        """By budget: what is restored, in DeepSDF's ball, and the bytes used."""
        r = self.recipe
        if r.representation != "network":
            keep = STORED[r.representation]
            return {budget: keep(self.shape, budget) for budget in r.budgets}
        return {
            budget: (
                self.surface(network, r.mesh_resolution),
                parameter_count(network) * r.stored_bits // 8,
            )
            for budget, network in zip(r.budgets, self.field, strict=True)
        }

    def predict(self, out: Path) -> None:
        """Write what each budget holds; of the largest network, meshes of many resolutions."""
        r = self.recipe
        predictions = Predictions(
            out, f"unit-cube-mesh{r.mesh_resolution}-points{r.compared_points}"
        )
        truth = self._in_unit_cube(self.shape.as_trimesh())
        predictions.array("reference", self._points(self.shape.as_trimesh(), seed=2))
        pictures = []
        for budget, (restored, size) in self.stored().items():
            split = f"{budget / 1024:g} KiB"
            self._compare(predictions, f"bytes-{budget}", restored, split)
            predictions.number("stored_bytes", size, "byte", split=split)
            if isinstance(restored, trimesh.Trimesh):
                pictures.append(portrait(self._in_unit_cube(restored), r.picture_size))
        if pictures:
            predictions.array("portraits-prediction", np.stack(pictures))
        predictions.array("portraits-reference", portrait(truth, r.picture_size)[None])
        if r.representation == "network":
            self._add_resolutions(predictions, truth)
        predictions.write()

    def _add_resolutions(self, predictions: Predictions, truth: trimesh.Trimesh) -> None:
        r = self.recipe
        meshes = [self.surface(self.largest, n) for n in r.resolutions]
        for n, mesh in zip(r.resolutions, meshes, strict=True):
            self._compare(predictions, f"mesh-{n}", mesh, f"mesh at {n}³")
        placed = [self._in_unit_cube(mesh) for mesh in meshes]
        predictions.array("resolutions", np.array(r.resolutions))
        predictions.array(
            "portraits-resolutions", np.stack([portrait(mesh, r.picture_size) for mesh in placed])
        )
        if r.turntable_frames:
            with written_whole(predictions.folder / "truth_and_network.mp4") as temporary:
                write_turntable(
                    temporary, [truth, placed[-1]], frames=r.turntable_frames, size=r.picture_size
                )
        write_glb(predictions.folder / "truth.glb", truth)
        write_glb(predictions.folder / "network.glb", placed[-1])

    def _compare(
        self,
        predictions: Predictions,
        name: str,
        restored: trimesh.Trimesh | np.ndarray,
        split: str,
    ) -> None:
        """Add points of what was restored beside points of the shape, in the unit cube."""
        predictions.items.append(
            Item(
                name=name,
                split=split,
                prediction=predictions.array(name, self._points(restored, seed=1)),
                reference="reference.npy",
                metrics=METRICS,
                protocol=predictions.protocol,
            )
        )

    def _points(self, surface: trimesh.Trimesh | np.ndarray, *, seed: int) -> np.ndarray:
        if isinstance(surface, trimesh.Trimesh):
            if len(surface.faces) == 0:
                return np.zeros((0, 3), dtype=np.float32)
            draw = np.random.default_rng(seed)
            vertices = np.asarray(surface.vertices, dtype=np.float64)
            surface, _ = sample_surface(
                vertices, np.asarray(surface.faces), self.recipe.compared_points, draw
            )
        return (surface * self._scale()).astype(np.float32)

    def _in_unit_cube(self, surface: trimesh.Trimesh) -> trimesh.Trimesh:
        return trimesh.Trimesh(surface.vertices * self._scale(), surface.faces, process=False)

    def _scale(self) -> float:
        """From DeepSDF's ball to coordinates in which the box's longest edge is 1."""
        return 1 / float(np.ptp(self.shape.vertices, axis=0).max())
