"""Families of shapes: chairs, tables, lamps, airplanes, cars and sofas, made from numbers.

A *member* is a union of *parts*, each the convex hull of some points; a family draws the parts'
sizes from uniform distributions, so that it has any number of distinct members. Everything about
a member follows from (family, number). Both descriptions are exact and agree: points are inside
where they are on the inner side of all planes of a part, and the surface is the exact boolean
union of the hulls, watertight, of a few hundred triangles.

y is up, x points to the right, and what has a front looks along +z. Members come in Occupancy
Networks' coordinates: the box centred at 0, its longest edge 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.random import Generator
from scipy.spatial import ConvexHull

from nir.data.mesh_repair import RepairReport
from nir.data.shapes import Shape, to_unit_cube
from nir.errors import unknown_name
from nir.geometry.triangulation import settled_triangles
from nir.random import seed_of

Points = Float[np.ndarray, "_ 3"]
SIDES = 20
"""Of the polygons that stand for circles."""


@dataclass(frozen=True)
class Member:
    """One shape of a family: the corners of its convex parts, in the unit cube."""

    name: str
    parts: tuple[Points, ...]

    def is_inside(self, points: Points) -> Bool[np.ndarray, " points"]:
        """Which points lie in any of the parts; exact, from the parts' planes."""
        inside = np.zeros(len(points), dtype=bool)
        for part in self.parts:
            planes = ConvexHull(part).equations
            outside = np.ones(len(points), dtype=bool)
            outside[~inside] = (points[~inside] @ planes[:, :3].T + planes[:, 3]).max(axis=1) > 0
            inside |= ~outside
        return inside

    def shape(self) -> Shape:
        """The surface of the union (exact arithmetic of CGAL, corners rounded to doubles)."""
        from igl.copyleft.cgal import mesh_boolean

        vertices, faces, start = [], [], 0
        for part in self.parts:
            corners, triangles = _hull(part)
            vertices.append(corners)
            faces.append(triangles + start)
            start += len(corners)
        nothing = np.zeros((0, 3))
        joined, triangles, _ = mesh_boolean(
            np.concatenate(vertices),
            np.concatenate(faces),
            nothing,
            nothing.astype(np.int64),
            type_str="union",
        )
        # CGAL divides flat parts by where things lie in memory, so in another way in each process.
        triangles = settled_triangles(joined, triangles.astype(np.int64))
        # As it is: leaving out slivers, which rounding may have flattened, would open the surface.
        report = RepairReport(faces_read=len(triangles), vertices_read=len(joined), patches=1)
        return Shape(joined, triangles, self.name, report)


def member(family: str, number: int) -> Member:
    """Return one member of a family; an unknown family is an `InputError`.

    >>> member("tables", 3).name, len(member("tables", 3).parts) >= 2
    ('tables_0003', True)
    """
    if family not in FAMILIES:
        raise unknown_name("family of shapes", family, FAMILIES)
    draw = np.random.default_rng(seed_of(family, number))
    parts = FAMILIES[family](draw)
    similarity = to_unit_cube(np.concatenate(parts))
    return Member(f"{family}_{number:04d}", tuple(similarity.points(part) for part in parts))


def _hull(points: Points) -> tuple[Points, np.ndarray]:
    """Corners and triangles of a convex hull, seen counter-clockwise from outside."""
    hull = ConvexHull(points)
    faces = hull.simplices.astype(np.int64)
    first, second, third = (points[faces[:, corner]] for corner in range(3))
    normals = np.cross(second - first, third - first)
    flipped = (normals * hull.equations[:, :3]).sum(axis=1) < 0
    faces[flipped] = faces[flipped][:, ::-1]
    used, places = np.unique(faces, return_inverse=True)
    return points[used], places.reshape(faces.shape).astype(np.int64)


# ---- parts ----


def _box(centre: tuple[float, ...], size: tuple[float, ...]) -> Points:
    signs = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.array(centre) + signs * np.array(size)


def _beam(start: tuple[float, ...], end: tuple[float, ...], thickness: float) -> Points:
    """A slanted leg: a square at both ends, flat against the floor."""
    square = np.array([[-1, 0, -1], [-1, 0, 1], [1, 0, -1], [1, 0, 1]]) * thickness / 2
    return np.concatenate([np.array(start) + square, np.array(end) + square])


def _drawn_out(points: Points, by: tuple[float, ...]) -> Points:
    """A flat outline and the same moved: a slanted plate."""
    return np.concatenate([points, points + np.array(by)])


def _round(
    bottom: float, top: float, low: float, high: float, *, at: tuple[float, float] = (0.0, 0.0)
) -> Points:
    """A frustum about a vertical axis: radii and heights of its ends."""
    angle = (np.arange(SIDES) + 0.5) * 2 * np.pi / SIDES
    ring = np.stack([np.cos(angle), np.zeros(SIDES), np.sin(angle)], axis=1)
    shift = np.array([at[0], 0, at[1]])
    lower, upper = bottom * ring + [0, low, 0], top * ring + [0, high, 0]
    return np.concatenate([lower, upper]) + shift


def _ball(centre: tuple[float, ...], radii: tuple[float, ...]) -> Points:
    """An ellipsoid of 10 rings."""
    heights = np.cos(np.pi * (np.arange(10) + 0.5) / 10)
    rings = [
        _round(r, r, y, y)[:SIDES] for y, r in zip(heights, np.sqrt(1 - heights**2), strict=True)
    ]
    return np.array(centre) + np.concatenate(rings) * np.array(radii)


@functools.cache
def _lying() -> Float[np.ndarray, "3 3"]:
    """Turns the vertical axis into x, for wheels."""
    return np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])


def _four_legs(
    half_width: float, half_depth: float, height: float, thickness: float, splay: float
) -> list[Points]:
    corners = [(x, z) for x in (-1, 1) for z in (-1, 1)]
    return [
        _beam(
            (x * (half_width + splay), 0.0, z * (half_depth + splay)),
            (x * half_width, height, z * half_depth),
            thickness,
        )
        for x, z in corners
    ]


# ---- families ----


def _chair(draw: Generator) -> list[Points]:
    width, depth = draw.uniform(0.40, 0.62), draw.uniform(0.40, 0.58)
    seat, plate = draw.uniform(0.36, 0.50), draw.uniform(0.04, 0.09)
    back, tilt = draw.uniform(0.35, 0.62), draw.uniform(0.0, 0.14)
    leg = draw.uniform(0.045, 0.075)
    top = seat + plate
    parts = [_box((0, seat + plate / 2, 0), (width, plate, depth))]
    if draw.random() < 0.75:
        splay = draw.uniform(0.0, 0.05)
        inset = leg / 2
        overlap = seat + plate / 2
        parts += _four_legs(width / 2 - inset, depth / 2 - inset, overlap, leg, splay)
    else:
        parts += [_round(0.05, 0.05, 0.02, seat + plate / 2), _round(0.24, 0.16, 0.0, 0.05)]
    thick = draw.uniform(0.04, 0.07)
    rear = -depth / 2 + thick / 2
    low = _box((0, top - plate / 2, rear), (width, 0.0, thick))
    parts.append(_drawn_out(low, (0, back, -tilt)))
    if draw.random() < 0.4:
        height, arm = draw.uniform(0.16, 0.24), draw.uniform(0.05, 0.08)
        for side in (-1, 1):
            x = side * (width / 2 - arm / 2)
            parts.append(_box((x, top + height, -0.02), (arm, 0.05, depth - 0.04)))
            parts.append(_box((x, seat + height / 2 + plate / 2, depth / 4), (arm, height, arm)))
    return parts


def _table(draw: Generator) -> list[Points]:
    width, depth = draw.uniform(0.70, 1.20), draw.uniform(0.50, 0.80)
    height, plate = draw.uniform(0.40, 0.75), draw.uniform(0.04, 0.09)
    leg, kind = draw.uniform(0.05, 0.10), draw.integers(3)
    middle = height + plate / 2
    if kind == 0:
        splay = draw.uniform(-0.08, 0.06)
        inset = leg / 2 + max(splay, 0)
        legs = _four_legs(width / 2 - inset, depth / 2 - inset, middle, leg, splay)
        return [_box((0, middle, 0), (width, plate, depth)), *legs]
    if kind == 1:
        radius = width / 2
        foot = draw.uniform(0.45, 0.7) * radius
        return [
            _round(radius, radius, height, height + plate),
            _round(leg, leg, 0.03, middle),
            _round(foot, 0.7 * foot, 0.0, 0.06),
        ]
    shelf = draw.uniform(0.3, 0.6) * height
    sides = [
        _box((x * (width / 2 - leg / 2), middle / 2, 0), (leg, middle, 0.92 * depth))
        for x in (-1, 1)
    ]
    board = _box((0, shelf, 0), (width - leg, 0.05, 0.8 * depth))
    return [_box((0, middle, 0), (width, plate, depth)), board, *sides]


def _lamp(draw: Generator) -> list[Points]:
    height, stem = draw.uniform(0.45, 0.95), draw.uniform(0.025, 0.05)
    foot, thick = draw.uniform(0.14, 0.28), draw.uniform(0.04, 0.09)
    shade, lower = draw.uniform(0.20, 0.38), draw.uniform(0.18, 0.32)
    upper = lower * draw.uniform(0.35, 1.0)
    parts = [
        _round(foot, foot * draw.uniform(0.6, 1.0), 0.0, thick),
        _round(stem, stem, thick / 2, height + shade / 2),
        _round(lower, upper, height, height + shade),
    ]
    if draw.random() < 0.5:
        radius = draw.uniform(0.07, 0.14)
        parts.append(_ball((0, draw.uniform(0.2, 0.5) * height, 0), (radius, radius, radius)))
    return parts


def _airplane(draw: Generator) -> list[Points]:
    length, radius = 1.0, draw.uniform(0.055, 0.085)
    span, chord = draw.uniform(0.7, 1.05), draw.uniform(0.13, 0.24)
    sweep, at = draw.uniform(0.02, 0.28), draw.uniform(-0.02, 0.12)
    taper, thick = draw.uniform(0.3, 0.7), draw.uniform(0.025, 0.04)
    parts = [_ball((0, 0, 0), (radius, radius, length / 2))]
    for side in (-1, 1):
        parts.append(_wing(side * span / 2, chord, taper, sweep, thick, at))
    tail, tail_chord = span * draw.uniform(0.28, 0.42), draw.uniform(0.09, 0.13)
    for side in (-1, 1):
        parts.append(_wing(side * tail / 2, tail_chord, 0.6, 0.08, thick, -0.36))
    fin = _wing(draw.uniform(0.16, 0.26), tail_chord * 1.2, 0.6, 0.1, thick, -0.36)
    parts.append(fin[:, [1, 0, 2]])
    if draw.random() < 0.6:
        reach, engine = span * draw.uniform(0.14, 0.2), draw.uniform(0.03, 0.045)
        for side in (-1, 1):
            z = at - sweep * 2 * reach / span + 0.05
            parts.append(_ball((side * reach, -engine, z), (engine, engine, 2.6 * engine)))
    return parts


def _wing(tip: float, chord: float, taper: float, sweep: float, thick: float, at: float) -> Points:
    """A tapered slab along x from the axis to `tip`, swept back (towards -z)."""
    root = _box((0.0, 0.0, at), (0.0, thick, chord))
    end = _box((tip, 0.0, at - sweep), (0.0, 0.7 * thick, taper * chord))
    return np.concatenate([root, end])


def _car(draw: Generator) -> list[Points]:
    length, width = 1.0, draw.uniform(0.38, 0.46)
    floor, bonnet = draw.uniform(0.07, 0.11), draw.uniform(0.14, 0.20)
    roof = draw.uniform(0.10, 0.18)
    front, rear = draw.uniform(0.10, 0.26), draw.uniform(-0.46, -0.22)
    slant_front, slant_rear = draw.uniform(0.06, 0.16), draw.uniform(0.01, 0.14)
    top = floor + bonnet
    body = _box((0, floor + bonnet / 2, 0), (width, bonnet, length))
    lower = _box((0, top - 0.02, (front + rear) / 2), (0.94 * width, 0.0, front - rear))
    inner = front - slant_front - rear - slant_rear
    middle = (front - slant_front + rear + slant_rear) / 2
    upper = _box((0, top + roof, middle), (0.78 * width, 0.0, inner))
    wheel, breadth = draw.uniform(0.075, 0.105), 0.09
    parts = [body, np.concatenate([lower, upper])]
    for side in (-1, 1):
        for z in (-0.30, 0.30):
            flat = _round(wheel, wheel, -breadth / 2, breadth / 2) @ _lying().T
            parts.append(flat + np.array([side * (width / 2 - breadth / 3), wheel, z]))
    return parts


def _sofa(draw: Generator) -> list[Points]:
    width, depth = draw.uniform(0.75, 1.25), draw.uniform(0.40, 0.55)
    seat, back = draw.uniform(0.20, 0.28), draw.uniform(0.38, 0.55)
    arm, rest = draw.uniform(0.07, 0.15), draw.uniform(0.30, 0.40)
    thick, tilt = draw.uniform(0.09, 0.15), draw.uniform(0.0, 0.06)
    low = _box((0, 0.06, -depth / 2 + thick / 2), (width, 0.0, thick))
    parts = [
        _box((0, 0.05 + seat / 2, 0), (width - 0.02, seat - 0.02, depth)),
        _drawn_out(low, (0, back, -tilt)),
    ]
    for side in (-1, 1):
        x = side * (width / 2 - arm / 2)
        parts.append(_box((x, 0.04 + rest / 2, 0.01), (arm, rest, depth)))
    parts += _four_legs(width / 2 - 0.06, depth / 2 - 0.05, 0.1, 0.05, 0.0)
    return parts


FAMILIES: dict[str, Callable[[Generator], list[Points]]] = {
    "chairs": _chair,
    "tables": _table,
    "lamps": _lamp,
    "airplanes": _airplane,
    "cars": _car,
    "sofas": _sofa,
}
