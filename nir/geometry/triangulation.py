"""Triangulations of flat parts: the one that depends on the surface alone.

Programs that cut surfaces divide their flat parts into triangles in any of many ways, some of them
in another way each time they run. Here edges between coplanar triangles are flipped until each is
Delaunay's (Lawson 1977); of four corners on one circle, the diagonal has the one that comes first.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from jaxtyping import Float, Int

FLAT = 1e-9
"""Sine of the angle below which two triangles are coplanar, and an angle below pi is convex."""

EQUAL_ANGLES = 1e-7
"""Radians by which two opposite angles may miss pi for four corners to lie on one circle."""

Edge = tuple[int, int]
Point = tuple[float, float, float]


def settled_triangles(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Int[np.ndarray, "faces 3"]:
    """Triangles of the same closed surface that do not depend on how its flat parts were divided.

    They are sorted, each from its first corner on. Edges that more than two faces share stay.
    """
    surface = _Surface([tuple(vertex) for vertex in vertices.tolist()], faces.tolist())
    surface.settle()
    corners = np.array(surface.faces, dtype=faces.dtype)
    first = corners.argmin(axis=1)
    turned = np.stack([np.roll(c, -f) for c, f in zip(corners, first, strict=True)])
    return turned[np.lexsort(turned.T[::-1])]


class _Surface:
    """Faces, and the face to the left of each directed edge."""

    def __init__(self, points: list[Point], faces: list[list[int]]) -> None:
        self.points, self.faces = points, faces
        self.left: dict[Edge, int] = {}
        self.fixed: set[Edge] = set()
        for number, face in enumerate(faces):
            for edge in _edges(face):
                if edge in self.left:
                    self.fixed |= {edge, edge[::-1]}
                self.left[edge] = number

    def settle(self) -> None:
        """Flip edges until none is left to flip."""
        waiting = deque(sorted(edge for edge in self.left if edge[0] < edge[1]))
        flips_left = 100 * len(self.faces)  # no flip is undone but by rounding
        while waiting and flips_left:
            edge = waiting.popleft()
            if edge in self.left and edge[::-1] in self.left and edge not in self.fixed:
                corners = (*edge, self._opposite(edge), self._opposite(edge[::-1]))
                if self._is_to_flip(*corners):
                    waiting.extend(self._flip(*corners))
                    flips_left -= 1

    def _opposite(self, edge: Edge) -> int:
        return next(corner for corner in self.faces[self.left[edge]] if corner not in edge)

    def _is_to_flip(self, start: int, end: int, left: int, right: int) -> bool:
        """Whether the edge from `left` to `right` should stand in place of that to `end`."""
        if (left, right) in self.left or (right, left) in self.left or left == right:
            return False
        s, e, a, b = (self.points[corner] for corner in (start, end, left, right))
        if not _are_coplanar(s, e, a, b):
            return False
        at_start, at_end = _angle(s, e, a) + _angle(s, e, b), _angle(e, s, a) + _angle(e, s, b)
        if max(at_start, at_end) > math.pi - FLAT:
            return False
        excess = _angle(a, s, e) + _angle(b, s, e) - math.pi
        if abs(excess) <= EQUAL_ANGLES:
            return min(left, right) < min(start, end)
        return excess > 0

    def _flip(self, start: int, end: int, left: int, right: int) -> list[Edge]:
        """Replace the diagonal; return the edges around it, which may have to follow."""
        one, other = self.left.pop((start, end)), self.left.pop((end, start))
        for number, face in ((one, [right, end, left]), (other, [left, start, right])):
            self.faces[number] = face
            self.left.update(dict.fromkeys(_edges(face), number))
        around = ((start, right), (right, end), (end, left), (left, start))
        return [(min(edge), max(edge)) for edge in around]


def _edges(face: list[int]) -> list[Edge]:
    first, second, third = face
    return [(first, second), (second, third), (third, first)]


def _are_coplanar(start: Point, end: Point, left: Point, right: Point) -> bool:
    """Whether (start, end, left) and (end, start, right) have one normal."""
    one, other = _normal(start, end, left), _normal(end, start, right)
    lengths = math.hypot(*one) * math.hypot(*other)
    turn = math.hypot(*_cross(one, other))
    return lengths > 0 and turn <= FLAT * lengths and sum(map(float.__mul__, one, other)) > 0


def _angle(at: Point, one: Point, other: Point) -> float:
    first, second = _difference(one, at), _difference(other, at)
    sine = math.hypot(*_cross(first, second))
    return math.atan2(sine, sum(map(float.__mul__, first, second)))


def _normal(first: Point, second: Point, third: Point) -> Point:
    return _cross(_difference(second, first), _difference(third, first))


def _difference(one: Point, other: Point) -> Point:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]


def _cross(one: Point, other: Point) -> Point:
    return (
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    )
