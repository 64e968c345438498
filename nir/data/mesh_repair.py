"""Repairing meshes: from the triangles of a file to a surface that can be asked, and what was done.

Faces that mean nothing are left out, equal vertices become one, and faces are turned so that
neighbours agree and normals point outwards. Holes stay: winding numbers cope with them. Nothing is
ever moved. A *patch* is a set of faces joined by edges that exactly two faces share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import igl
import numpy as np
from jaxtyping import Bool, Float, Integer

from nir.geometry.surfaces import face_normals, winding_numbers

PROBES = 24
"""Faces of a patch that are asked on which of their sides the solid is."""


@dataclass(frozen=True, kw_only=True)
class RepairReport:
    """What a file held and what was changed; counts are of faces unless they say otherwise.

    `open_edges` belong to one face only (rims of holes), `branching_edges` to three or more; both
    are left as they are. `turned_faces` had a winding that disagreed with their neighbours or
    pointed inwards.
    """

    faces_read: int
    vertices_read: int
    broken_faces: int = 0
    zero_area_faces: int = 0
    repeated_faces: int = 0
    merged_vertices: int = 0
    turned_faces: int = 0
    patches: int = 0
    open_edges: int = 0
    branching_edges: int = 0

    def sentences(self) -> tuple[str, ...]:
        """What was repaired and what is still remarkable, for a person; empty if all was well.

        >>> RepairReport(faces_read=8, vertices_read=6, turned_faces=3, open_edges=4).sentences()
        ('turned 3 faces that pointed the wrong way', 'has holes (4 open edges), left as they are')
        """
        found = [
            (self.broken_faces, "left out {} faces with vertices that are missing or not finite"),
            (self.zero_area_faces, "left out {} faces without area"),
            (self.repeated_faces, "left out {} faces that were there twice"),
            (self.merged_vertices, "merged {} vertices that lay in the same place"),
            (self.turned_faces, "turned {} faces that pointed the wrong way"),
            (self.open_edges, "has holes ({} open edges), left as they are"),
            (self.branching_edges, "has {} edges where more than two faces meet"),
        ]
        return tuple(text.format(count) for count, text in found if count)


def repaired(
    vertices: Float[np.ndarray, "vertices 3"], faces: Integer[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "kept 3"], Integer[np.ndarray, "kept_faces 3"], RepairReport]:
    """Clean a triangle mesh; the result may have no faces left, which the caller must judge."""
    report = RepairReport(faces_read=len(faces), vertices_read=len(vertices))
    faces, report = _without_broken(vertices, faces, report)
    vertices, faces, report = _with_merged_vertices(vertices, faces, report)
    faces, report = _without_degenerate(vertices, faces, report)
    if len(faces) == 0:
        return vertices[:0], faces, report
    turned, patches = _turned_outwards(vertices, faces)
    changed = int(_faces_other_way(turned, faces).sum())
    return vertices, turned, replace(report, turned_faces=changed, patches=patches)


def _without_broken(
    vertices: np.ndarray, faces: np.ndarray, report: RepairReport
) -> tuple[np.ndarray, RepairReport]:
    """Leave out faces whose vertices do not exist or are not finite."""
    known = ((faces >= 0) & (faces < len(vertices))).all(axis=1)
    faces = faces[known]
    faces = faces[np.isfinite(vertices).all(axis=1)[faces].all(axis=1)]
    return faces, replace(report, broken_faces=report.faces_read - len(faces))


def _with_merged_vertices(
    vertices: np.ndarray, faces: np.ndarray, report: RepairReport
) -> tuple[np.ndarray, np.ndarray, RepairReport]:
    """Keep the vertices that faces use, each place once, in the order of the file."""
    used = np.unique(faces)
    places = vertices[used] + 0.0  # turns -0 into 0
    _, first, group = np.unique(places, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    new_index = np.zeros(len(vertices), dtype=np.int64)
    new_index[used] = rank[group.reshape(-1)]
    merged = len(used) - len(first)
    return places[first[order]], new_index[faces], replace(report, merged_vertices=merged)


def _without_degenerate(
    vertices: np.ndarray, faces: np.ndarray, report: RepairReport
) -> tuple[np.ndarray, RepairReport]:
    """Leave out faces without area and second copies; count the edges before slivers go.

    A sliver on a straight edge has no area and yet joins its neighbours: holes are counted with it.
    """
    collapsed = _has_repeated_corner(faces)
    faces = faces[~collapsed]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    repeated = len(faces) - len(first)
    faces = faces[np.sort(first)]
    open_edges, branching_edges = _count_edges(faces)
    _, areas = face_normals(vertices, faces)
    size = np.ptp(vertices, axis=0).max() if len(vertices) else 0.0
    flat = areas <= (1e-12 * size) * size
    return faces[~flat], replace(
        report,
        zero_area_faces=int(collapsed.sum() + flat.sum()),
        repeated_faces=repeated,
        open_edges=open_edges,
        branching_edges=branching_edges,
    )


def _has_repeated_corner(faces: np.ndarray) -> Bool[np.ndarray, " faces"]:
    first, second, third = faces.T
    return (first == second) | (second == third) | (third == first)


def _count_edges(faces: np.ndarray) -> tuple[int, int]:
    """How many edges belong to one face, and to more than two."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    keys = edges[:, 0] * (int(edges.max(initial=0)) + 1) + edges[:, 1]
    _, counts = np.unique(keys, return_counts=True)
    return int((counts == 1).sum()), int((counts > 2).sum())


def _turned_outwards(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, int]:
    """Make the faces of each patch agree, as most of its area does, then turn it outwards."""
    # libigl answers in C's long long, which is int64 by another name.
    agreeing, patch = (
        found.astype(np.int64)
        for found in igl.bfs_orient(np.ascontiguousarray(faces, dtype=np.int64))
    )
    patches = int(patch.max()) + 1
    _, areas = face_normals(vertices, faces)
    turned = _faces_other_way(agreeing, faces)
    share = np.bincount(patch, areas * turned, patches) / np.bincount(patch, areas, patches)
    agreeing = _flip(agreeing, (share > 0.5)[patch])
    return _flip(agreeing, _points_inwards(vertices, agreeing, patch)[patch]), patches


def _faces_other_way(faces: np.ndarray, others: np.ndarray) -> Bool[np.ndarray, " faces"]:
    """Which faces go round their corners in the other direction than the same faces of `others`."""
    same = [
        (faces[:, corner] == others[:, 0]) & (faces[:, (corner + 1) % 3] == others[:, 1])
        for corner in range(3)
    ]
    return ~np.logical_or.reduce(same)


def _flip(faces: np.ndarray, chosen: Bool[np.ndarray, " faces"]) -> np.ndarray:
    flipped = faces.copy()
    flipped[chosen] = faces[chosen][:, [0, 2, 1]]
    return flipped


def _points_inwards(
    vertices: np.ndarray, faces: np.ndarray, patch: np.ndarray
) -> Bool[np.ndarray, " patches"]:
    """Which patches have the solid in front of their faces instead of behind them.

    Crossing a face against its normal adds 1 to the winding number. Behind a face that points
    outwards it is 1 and in front 0; a part that is inside out has 0 behind and -1 in front, but
    the wall of a cavity (in front 0) is right as it is. So |behind| < |in front| tells.
    """
    chosen = _probed_faces(patch)
    normals, areas = face_normals(vertices, faces[chosen])
    centres = vertices[faces[chosen]].mean(axis=1)
    step = 1e-3 * np.sqrt(areas)[:, None] * normals
    behind, in_front = (
        np.abs(winding_numbers(vertices, faces, centres + side * step)) for side in (-1, 1)
    )
    votes = np.bincount(patch[chosen], areas * (in_front - behind))
    weight = np.bincount(patch[chosen], areas)
    # A single sheet has the same on both sides: it stays as it is.
    return votes > 0.1 * weight


def _probed_faces(patch: np.ndarray) -> np.ndarray:
    """Up to PROBES faces of every patch, spread over its list."""
    order = np.argsort(patch, kind="stable")
    sizes = np.bincount(patch)
    rank = np.arange(len(patch)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    stride = np.maximum(1, sizes // PROBES)[patch[order]]
    return order[rank % stride == 0]
