"""Templates: the meshes that learned deformations start from, and how they are made finer."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float, Int


def icosphere(
    subdivisions: int,
) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"]]:
    """A unit sphere of 10 · 4^n + 2 vertices, seen counter-clockwise from outside.

    >>> [len(icosphere(n)[0]) for n in range(4)]
    [12, 42, 162, 642]
    """
    golden = (1 + np.sqrt(5)) / 2
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=2)))
    flat = np.stack([np.zeros(4), signs[:, 0], golden * signs[:, 1]], axis=1)
    vertices = np.concatenate([np.roll(flat, shift, axis=1) for shift in range(3)])
    distances = np.linalg.norm(vertices[:, None] - vertices, axis=2)
    near = np.isclose(distances, 2.0)
    triples = itertools.combinations(range(12), 3)
    faces = np.array([t for t in triples if near[t[0], t[1]] and near[t[0], t[2]] and near[t[1:]]])
    faces = _facing_outwards(vertices, faces)
    for _ in range(subdivisions):
        edges = edges_of(faces)
        faces = subdivided(faces, edges, len(vertices))
        vertices = np.concatenate([vertices, vertices[edges].mean(axis=1)])
        vertices = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces


def _facing_outwards(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    inwards = (np.cross(second - first, third - first) * first).sum(axis=1) < 0
    return np.where(inwards[:, None], faces[:, ::-1], faces).astype(np.int64)


def edges_of(faces: Int[np.ndarray, "faces 3"]) -> Int[np.ndarray, "edges 2"]:
    """Every edge once, the smaller vertex first, in order."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(edges, axis=1), axis=0)


def subdivided(
    faces: Int[np.ndarray, "faces 3"], edges: Int[np.ndarray, "edges 2"], vertices: int
) -> Int[np.ndarray, "finer 3"]:
    """Each triangle as four; the new vertex of edge i has the number vertices + i."""
    number = {tuple(edge): vertices + place for place, edge in enumerate(edges.tolist())}
    finer = []
    for a, b, c in faces.tolist():
        ab, bc, ca = (number[tuple(sorted(pair))] for pair in ((a, b), (b, c), (c, a)))
        finer += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.array(finer, dtype=np.int64)


def square_patch(side: int) -> tuple[Float[np.ndarray, "points 2"], Int[np.ndarray, "faces 3"]]:
    """A regular grid of side² points over [0, 1]², and its triangles."""
    axis = np.linspace(0, 1, side)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).reshape(-1)
    right, above = corner + side, corner + 1
    lower = np.stack([corner, right, above], axis=1)
    upper = np.stack([right, right + 1, above], axis=1)
    return points, np.concatenate([lower, upper])
