"""Samples of shapes: what occupancy and signed distance fields are trained and tested on.

Shapes are to be normalised first (`shapes.normalised`); each function says for which paper's
coordinates its defaults are meant. Positions are float32, and occupancies and distances are those
of the rounded positions. Random numbers come from an explicit numpy generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from nir.data.shapes import Shape
from nir.errors import InputError


@dataclass(frozen=True)
class OccupancySamples:
    """Points and whether they lie inside."""

    points: Float[np.ndarray, "points 3"]
    inside: Bool[np.ndarray, " points"]


@dataclass(frozen=True)
class DistanceSamples:
    """Points and signed distances, negative inside."""

    points: Float[np.ndarray, "points 3"]
    distances: Float[np.ndarray, " points"]


def padded_cube(padding: float = 0.1) -> Float[np.ndarray, "2 3"]:
    """The cube about the origin with side 1 + padding (Occupancy Networks: 0.1, section 3.2)."""
    half = (1 + padding) / 2
    return np.array([[-half] * 3, [half] * 3])


def uniform_points(
    box: Float[np.ndarray, "2 3"], count: int, generator: np.random.Generator
) -> Float[np.ndarray, "points 3"]:
    """Points uniform in a box (lowest, highest corner)."""
    return generator.uniform(box[0], box[1], (count, 3)).astype(np.float32)


def occupancy_samples(
    shape: Shape,
    count: int,
    generator: np.random.Generator,
    *,
    box: Float[np.ndarray, "2 3"] | None = None,
) -> OccupancySamples:
    """Points uniform in a box, by default Occupancy Networks' padded cube, and their occupancy."""
    points = uniform_points(padded_cube() if box is None else box, count, generator)
    return OccupancySamples(points, shape.is_inside(points.astype(np.float64)))


def occupancy_near_surface(
    shape: Shape, count: int, generator: np.random.Generator, *, deviation: float = 0.01
) -> OccupancySamples:
    """Surface points moved by N(0, deviation²) along each axis, and their occupancy.

    deviation: 0.01 makes the "hard" test points of Fourier Features (3d_shape_occupancy notebook).
    """
    on_surface, _ = shape.sample(count, generator)
    points = (on_surface + generator.normal(0, deviation, (count, 3))).astype(np.float32)
    return OccupancySamples(points, shape.is_inside(points.astype(np.float64)))


def box_around(shape: Shape, margin: float = 1e-3) -> Float[np.ndarray, "2 3"]:
    """The shape's box and a margin (Fourier Features' sampling box: 1e-3)."""
    return shape.box + np.array([[-margin], [margin]])


def distance_samples(
    shape: Shape,
    count: int,
    generator: np.random.Generator,
    *,
    variances: tuple[float, float] = (0.0025, 0.00025),
    near_share: float = 47 / 50,
    cube_half_side: float = 1.0,
) -> DistanceSamples:
    """DeepSDF's samples of a shape in the unit sphere: most near the surface, some in the cube.

    Every surface point is moved twice, by isotropic Gaussians of the two variances along each
    axis (section 5 and supplement; the released PreprocessMesh.cpp has twice these); 3/50 of the
    points are uniform in the cube of side 2 (same file). In random order.
    """
    if not 0 <= near_share <= 1 or min(variances) <= 0:
        raise InputError("distance samples: variances must be positive, the share in [0, 1]")
    pairs = round(count * near_share / 2)
    on_surface, _ = shape.sample(pairs, generator)
    near = [
        on_surface + generator.normal(0, np.sqrt(variance), on_surface.shape)
        for variance in variances
    ]
    half = np.full(3, cube_half_side)
    anywhere = uniform_points(np.stack([-half, half]), count - 2 * pairs, generator)
    points = generator.permutation(np.concatenate([*near, anywhere])).astype(np.float32)
    distances = shape.signed_distances(points.astype(np.float64)).astype(np.float32)
    return DistanceSamples(points, distances)
