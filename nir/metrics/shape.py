"""Shape metrics: a predicted surface against a reference surface or points known of it.

A metric takes (prediction, reference), each a `trimesh.Trimesh`, or points as an array: [n, 3], or
[n, 6] with normals. The IoU also takes a reference [n, 4], points and occupancies (1 inside).
Points on surfaces are drawn with fixed seeds, two independent ones for prediction and reference:
the same files give the same number, and a surface compared with itself shows the sampling's noise.

Lengths are in the units of the coordinates, which are to be the paper's: for Occupancy Networks
the box's longest edge is 1, for DeepSDF the shape's own units. *Accuracy* goes from prediction to
reference, *completeness* from reference to prediction.

A failure - a prediction without faces or points - is not left out: it has IoU and F-score 0,
distances sqrt(3), the diagonal of the unit cube, and normals -1, as in Occupancy Networks' eval.py;
`failed` counts such predictions in a column of its own.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from nir.errors import InputError
from nir.geometry.neighbours import forget_neighbours, nearest_points
from nir.geometry.surfaces import is_inside, nearest_on_surface, sample_surface

Surface = trimesh.Trimesh | np.ndarray
FAILED_DISTANCE = float(np.sqrt(3))
_PREDICTION_SEED, _REFERENCE_SEED, _SPACE_SEED = 1, 2, 3


def failed(prediction: Surface, reference: Surface) -> float:
    """1 if the prediction is empty, else 0; its mean is the share of failures."""
    return float(_is_empty(prediction))


def iou_volume(prediction: Surface, reference: Surface) -> float:
    """Volumetric IoU at 100,000 points (Occupancy Networks, section 4; im2mesh/eval.py).

    Points are uniform in the cube about the reference's box, its longest edge and a tenth long; or
    they come with the reference, as [n, 4] with occupancies. Inside is what winding numbers say.
    """
    if _is_empty(prediction):
        return 0.0
    if not isinstance(prediction, trimesh.Trimesh):
        raise InputError("iou_volume: the prediction must be a mesh, points enclose no volume")
    points, truth = _occupied_points(reference)
    inside = is_inside(np.asarray(prediction.vertices), np.asarray(prediction.faces), points)
    union = int((inside | truth).sum())
    return float((inside & truth).sum()) / union if union else 1.0


def chamfer_l1(prediction: Surface, reference: Surface) -> float:
    """Chamfer-L1 of Occupancy Networks: half of accuracy + completeness, distances not squared.

    100,000 points on each; times 10, the paper's unit being a tenth of the box's longest edge.
    """
    if _is_empty(prediction):
        return 10 * FAILED_DISTANCE
    accuracy, completeness = _sampled(prediction, reference, count=100_000).distances()
    return 10 * 0.5 * float(accuracy.mean() + completeness.mean())


def chamfer_l2_sum(prediction: Surface, reference: Surface) -> float:
    """Chamfer distance of DeepSDF: the mean squared distances of both ways, added, times 1000.

    30,000 points on each (deep_sdf/metrics/chamfer.py); no half and no root.
    """
    if _is_empty(prediction):
        return 2e3 * FAILED_DISTANCE**2
    pair = _sampled(prediction, reference, count=30_000)
    there, back = pair.distances()
    return 1e3 * float((there**2).mean() + (back**2).mean())


def normal_consistency(prediction: Surface, reference: Surface) -> float:
    """Mean |cosine| of the normals of nearest points, both ways halved (Occupancy Networks)."""
    if _is_empty(prediction):
        return -1.0
    pair = _sampled(prediction, reference, count=100_000)
    if pair.prediction_normals is None or pair.reference_normals is None:
        raise InputError("normal_consistency: needs meshes, or points with normals ([n, 6])")
    (_, to_reference), (_, to_prediction) = pair.nearest()
    there = (pair.prediction_normals * pair.reference_normals[to_reference]).sum(axis=1)
    back = (pair.reference_normals * pair.prediction_normals[to_prediction]).sum(axis=1)
    return 0.5 * float(np.abs(there).mean() + np.abs(back).mean())


def f_score(prediction: Surface, reference: Surface) -> float:
    """F-score at 1 % of the reference box's longest edge (Tatarchenko et al. 2019).

    The harmonic mean of precision and recall: the shares of 100,000 predicted points near the
    reference, and of reference points near the prediction.
    """
    if _is_empty(prediction):
        return 0.0
    pair = _sampled(prediction, reference, count=100_000)
    threshold = 0.01 * float(np.ptp(pair.reference, axis=0).max())
    precision, recall = (float((distance <= threshold).mean()) for distance in pair.distances())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def mesh_accuracy(prediction: Surface, reference: Surface) -> float:
    """DeepSDF's mesh accuracy: the distance within which 90 % of 1000 predicted points lie."""
    if _is_empty(prediction):
        return FAILED_DISTANCE
    predicted, _ = _points(prediction, 1000, _PREDICTION_SEED)
    distances = _distances_to(reference, predicted)
    return float(np.quantile(distances, 0.9))


def mesh_completion(prediction: Surface, reference: Surface) -> float:
    """DeepSDF's mesh completion: the share of 1000 reference points within 0.01 of the prediction.

    The supplement gives the threshold, 0.01 in the units of the unit sphere.
    """
    if _is_empty(prediction):
        return 0.0
    points, _ = _points(reference, 1000, _REFERENCE_SEED)
    return float((_distances_to(prediction, points) <= 0.01).mean())


def earth_movers(prediction: Surface, reference: Surface) -> float:
    """Earth mover's distance of DeepSDF: mean distance of 500 points under the best matching."""
    if _is_empty(prediction):
        return FAILED_DISTANCE
    predicted, _ = _points(prediction, 500, _PREDICTION_SEED)
    true, _ = _points(reference, 500, _REFERENCE_SEED)
    if len(predicted) != len(true):
        raise InputError(
            f"earth_movers: {len(predicted)} and {len(true)} points; 500 or more are needed of each"
        )
    costs = np.linalg.norm(predicted[:, None] - true[None], axis=2)
    return float(costs[linear_sum_assignment(costs)].mean())


@dataclass(frozen=True)
class _Pair:
    """Points of a prediction and its reference."""

    prediction: Float[np.ndarray, "predicted 3"]
    prediction_normals: Float[np.ndarray, "predicted 3"] | None
    reference: Float[np.ndarray, "known 3"]
    reference_normals: Float[np.ndarray, "known 3"] | None

    def nearest(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Distances and indices of nearest points: prediction to reference, and back."""
        return nearest_points(self.reference, self.prediction), nearest_points(
            self.prediction, self.reference
        )

    def distances(self) -> tuple[np.ndarray, np.ndarray]:
        (there, _), (back, _) = self.nearest()
        return there, back


def _sampled(prediction: Surface, reference: Surface, *, count: int) -> _Pair:
    return _Pair(
        *_points(prediction, count, _PREDICTION_SEED), *_points(reference, count, _REFERENCE_SEED)
    )


def _is_empty(surface: Surface) -> bool:
    return len(surface.faces if isinstance(surface, trimesh.Trimesh) else surface) == 0


def _points(surface: Surface, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Up to `count` points, and their normals where they are known."""
    generator = np.random.default_rng(seed)
    if isinstance(surface, trimesh.Trimesh):
        vertices = np.asarray(surface.vertices, dtype=np.float64)
        return sample_surface(vertices, np.asarray(surface.faces), count, generator)
    if surface.ndim != 2 or surface.shape[1] not in (3, 6) or len(surface) == 0:
        raise InputError(f"points of shape {surface.shape}: expected [n, 3] or [n, 6], n > 0")
    if len(surface) > count:
        surface = surface[generator.permutation(len(surface))[:count]]
    surface = surface.astype(np.float64)
    return surface[:, :3], surface[:, 3:] if surface.shape[1] == 6 else None


def _distances_to(surface: Surface, points: np.ndarray) -> np.ndarray:
    """Exact distances to a mesh, or to the nearest of given points."""
    if isinstance(surface, trimesh.Trimesh):
        vertices = np.asarray(surface.vertices, dtype=np.float64)
        return nearest_on_surface(vertices, np.asarray(surface.faces), points)[0]
    return nearest_points(surface[:, :3], points)[0]


def forget_references() -> None:
    """Compute all anew from now on; for those who time it."""
    forget_neighbours()
    _occupied_space.cache_clear()


def _occupied_points(reference: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Points in space and whether the reference holds them."""
    if not isinstance(reference, trimesh.Trimesh):
        if reference.ndim != 2 or reference.shape[1] != 4:
            raise InputError(
                f"iou_volume: reference of shape {reference.shape}; a mesh is needed, or points "
                "with occupancies ([n, 4])"
            )
        return reference[:, :3].astype(np.float64), reference[:, 3] > 0.5
    if len(reference.faces) == 0:
        raise InputError("iou_volume: the reference mesh is empty")
    vertices, faces = np.float64(reference.vertices), np.int64(reference.faces)
    return _occupied_space(vertices.tobytes(), faces.tobytes())


@functools.lru_cache(maxsize=8)  # every method is compared with the same few references
def _occupied_space(vertices_bytes: bytes, faces_bytes: bytes) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.frombuffer(vertices_bytes).reshape(-1, 3)
    faces = np.frombuffer(faces_bytes, dtype=np.int64).reshape(-1, 3)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    centre, half = (low + high) / 2, 0.55 * float((high - low).max())
    offsets = np.random.default_rng(_SPACE_SEED).uniform(-half, half, (100_000, 3))
    points = centre + offsets
    inside = is_inside(vertices, faces, points)
    for array in (points, inside):
        array.setflags(write=False)
    return points, inside
