"""Flat parts of a surface are divided into triangles in one way, whatever way they came in."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import trimesh

from nir.data.shape_families import FAMILIES, member
from nir.geometry.triangulation import _Surface, settled_triangles

DIGEST = """
import hashlib
from nir.data.shape_families import FAMILIES, member
for family in FAMILIES:
    shape = member(family, 1).shape()
    print(hashlib.sha256(shape.vertices.tobytes() + shape.faces.tobytes()).hexdigest())
"""


def box_of_many_squares(count: int = 4) -> trimesh.Trimesh:
    box = trimesh.creation.box(extents=(1.0, 2.0, 0.5))
    for _ in range(count - 1):
        box = box.subdivide() if len(box.faces) < 150 else box
    return trimesh.Trimesh(box.vertices, box.faces, process=True)


def flipped_at_random(mesh: trimesh.Trimesh, seed: int) -> np.ndarray:
    """The same surface after many flips of edges within its flat parts, faces shuffled."""
    draw = np.random.default_rng(seed)
    surface = _Surface([tuple(v) for v in mesh.vertices.tolist()], mesh.faces.tolist())
    for _ in range(500):
        edge = list(surface.left)[draw.integers(len(surface.left))]
        corners = (*edge, surface._opposite(edge), surface._opposite(edge[::-1]))
        if turned_is_valid(mesh.vertices, *corners):
            surface._flip(*corners)
    faces = np.array(surface.faces)[draw.permutation(len(surface.faces))]
    return np.stack([np.roll(face, draw.integers(3)) for face in faces])


def turned_is_valid(vertices: np.ndarray, start: int, end: int, left: int, right: int) -> bool:
    s, e, a, b = vertices[[start, end, left, right]]
    before = np.cross(e - s, a - s)
    halves = np.cross(e - b, a - b), np.cross(s - a, b - a)
    flat = np.linalg.norm(np.cross(before, np.cross(s - e, b - e))) < 1e-12
    return bool(flat and all(half @ before > 1e-9 for half in halves))


@pytest.mark.parametrize("seed", range(3))
def test_however_flat_parts_were_divided_they_end_alike(seed):
    mesh = box_of_many_squares()
    settled = settled_triangles(mesh.vertices, mesh.faces)
    flipped = flipped_at_random(mesh, seed)
    assert {tuple(sorted(f)) for f in flipped} != {tuple(sorted(f)) for f in mesh.faces}
    assert np.array_equal(settled_triangles(mesh.vertices, flipped), settled)
    assert np.array_equal(settled_triangles(mesh.vertices, settled), settled)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_surface_stays_closed_and_where_it_was(family):
    shape = member(family, 2).shape()
    mesh = trimesh.Trimesh(shape.vertices, shape.faces, process=False)
    again = settled_triangles(shape.vertices, shape.faces[::-1])
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert np.array_equal(again, shape.faces)
    draw = np.random.default_rng(0)
    points = draw.uniform(-0.5, 0.5, size=(2000, 3))
    inside = member(family, 2).is_inside(points)
    assert mesh.volume == pytest.approx(inside.mean(), abs=0.03)
    assert mesh.area > 0


def test_a_curved_surface_keeps_its_triangles():
    ball = trimesh.creation.icosphere(subdivisions=2)
    settled = settled_triangles(ball.vertices, ball.faces)
    assert {tuple(sorted(f)) for f in settled} == {tuple(sorted(f)) for f in ball.faces}


def test_every_process_makes_the_same_shapes():
    made = [
        subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    assert len({run.stdout for run in made}) == 1
    assert len(made[0].stdout.split()) == len(FAMILIES)
