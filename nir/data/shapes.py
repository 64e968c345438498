"""Shapes: surfaces and point clouds from files, repaired, normalised, and asked at points.

Meshes: OBJ, PLY, OFF, STL and GLB, read by trimesh from the one file alone: materials, textures
and other files that it names are not opened. Point clouds: `.xyz` (three or six numbers a line),
PLY without faces, `.npz` with `points` and perhaps `normals`. `mesh_repair` says what is done to
triangles; conventions of inside and sign are those of `geometry.surfaces`.

A *normalisation* is the similarity that brings a shape to where a paper wants it; its inverse
leads back to the units of the file.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Integer

from nir.data.mesh_repair import RepairReport, repaired
from nir.errors import InputError, unknown_name
from nir.files import written_whole
from nir.geometry import surfaces
from nir.geometry.similarity import Similarity

MESH_SUFFIXES = (".obj", ".ply", ".off", ".stl", ".glb")
CLOUD_SUFFIXES = (".xyz", ".ply", ".npz")
DEEPSDF_RADIUS = 1 / 1.03
"""A normalised shape of DeepSDF fills this radius: a margin to the unit sphere of the samples."""


@dataclass(frozen=True)
class Shape:
    """A repaired surface; normals point outwards. `report` says what was repaired."""

    vertices: Float[np.ndarray, "vertices 3"]
    faces: Integer[np.ndarray, "faces 3"]
    name: str
    report: RepairReport

    @property
    def box(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest coordinates."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    @property
    def area(self) -> float:
        """Area of the surface."""
        return float(surfaces.face_normals(self.vertices, self.faces)[1].sum())

    def is_inside(self, points: Float[np.ndarray, "points 3"]) -> Bool[np.ndarray, " points"]:
        """Which points lie inside; holes and overlaps are bridged by winding numbers."""
        return surfaces.is_inside(self.vertices, self.faces, points)

    def signed_distances(
        self, points: Float[np.ndarray, "points 3"]
    ) -> Float[np.ndarray, " points"]:
        """Distances to the surface in its units, negative inside."""
        return surfaces.signed_distances(self.vertices, self.faces, points)

    def sample(
        self, count: int, generator: np.random.Generator
    ) -> tuple[Float[np.ndarray, "points 3"], Float[np.ndarray, "points 3"]]:
        """Points uniform by area on the surface, and their faces' normals."""
        return surfaces.sample_surface(self.vertices, self.faces, count, generator)

    def moved(self, similarity: Similarity) -> Shape:
        """The shape after a similarity."""
        return Shape(similarity.points(self.vertices), self.faces, self.name, self.report)

    def as_trimesh(self) -> trimesh.Trimesh:
        """The same surface as a trimesh."""
        return trimesh.Trimesh(self.vertices, self.faces, process=False)


@dataclass(frozen=True)
class PointCloud:
    """Points on a surface, with outward unit normals or None."""

    points: Float[np.ndarray, "points 3"]
    normals: Float[np.ndarray, "points 3"] | None

    def moved(self, similarity: Similarity) -> PointCloud:
        """The cloud after a similarity."""
        normals = None if self.normals is None else self.normals @ similarity.rotation.T
        return PointCloud(similarity.points(self.points), normals)


def read_shape(path: Path) -> Shape:
    """Read and repair a mesh; what cannot become a surface is an `InputError`."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise InputError(
            f"{path}: not a mesh that can be read; save it as one of {', '.join(MESH_SUFFIXES)}"
        )
    vertices, faces = _triangles(_parsed(path, suffix))
    if len(faces) == 0:
        raise InputError(f"{path}: holds no faces; a mesh of triangles or polygons is needed")
    return shape_of(vertices, faces, name=path.stem, source=str(path))


def shape_of(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    *,
    name: str = "shape",
    source: str = "shape",
) -> Shape:
    """Repair triangles that are in memory; none left is an `InputError` that names `source`."""
    kept, turned, report = repaired(np.asarray(vertices, dtype=np.float64), np.asarray(faces))
    if len(turned) == 0:
        raise InputError(
            f"{source}: none of its {report.faces_read} faces has an area and finite vertices"
        )
    return Shape(kept, turned, name, report)


def _parsed(path: Path, suffix: str) -> trimesh.Trimesh | trimesh.Scene | trimesh.PointCloud:
    try:
        # Bytes rather than a path: the parser then has nowhere to look for other files.
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return trimesh.load(content, file_type=suffix[1:], process=False, skip_materials=True)
    except Exception as error:  # parsers of foreign bytes raise whatever they stumble on
        raise InputError(
            f"{path}: damaged, or not a {suffix[1:].upper()} file "
            f"({type(error).__name__}: {error}); save it again"
        ) from error


def _triangles(
    parsed: trimesh.Trimesh | trimesh.Scene | trimesh.PointCloud,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of everything in a file, parts of a scene in their places."""
    if isinstance(parsed, trimesh.Scene):
        placed = parsed.dump() if parsed.geometry else []
        parts = [part for part in placed if isinstance(part, trimesh.Trimesh)]
        if not parts:
            return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
        parsed = trimesh.util.concatenate(parts)
    faces = getattr(parsed, "faces", np.zeros((0, 3), dtype=np.int64))
    return np.asarray(parsed.vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)


def read_point_cloud(path: Path) -> PointCloud:
    """Read points and, where the file has them, normals (made unit length)."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in CLOUD_SUFFIXES:
        raise InputError(
            f"{path}: not a point cloud that can be read; save it as one of "
            + ", ".join(CLOUD_SUFFIXES)
        )
    points, normals = {".xyz": _read_xyz, ".npz": _read_npz, ".ply": _read_ply_points}[suffix](path)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise InputError(f"{path}: holds no points in space")
    if normals is None:
        return PointCloud(points[np.isfinite(points).all(axis=1)], None)
    if normals.shape != points.shape:
        raise InputError(f"{path}: {len(points)} points but normals of shape {normals.shape}")
    length = np.linalg.norm(normals, axis=1)
    good = np.isfinite(points).all(axis=1) & np.isfinite(length) & (length > 0)
    if not good.any():
        raise InputError(f"{path}: no point is finite and has a normal")
    return PointCloud(points[good], normals[good] / length[good, None])


def _read_xyz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        numbers = np.loadtxt(path, dtype=np.float64, ndmin=2, comments="#")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not lines of 3 or 6 numbers ({error})") from error
    if numbers.shape[1] not in (3, 6):
        raise InputError(f"{path}: {numbers.shape[1]} numbers a line; 3 or 6 are expected")
    return numbers[:, :3], numbers[:, 3:] if numbers.shape[1] == 6 else None


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            normals = arrays["normals"].astype(np.float64) if "normals" in arrays else None
            return arrays["points"].astype(np.float64), normals
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{path}: no arrays 'points' and 'normals' to read ({error})") from error


def _read_ply_points(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    parsed = _parsed(path, ".ply")
    vertices = np.asarray(getattr(parsed, "vertices", np.zeros((0, 3))), dtype=np.float64)
    data = parsed.metadata.get("_ply_raw", {}).get("vertex", {}).get("data", {})
    names = data if isinstance(data, dict) else data.dtype.names
    if not {"nx", "ny", "nz"} <= set(names):
        return vertices, None
    normals = np.stack([np.asarray(data[axis]).reshape(-1) for axis in ("nx", "ny", "nz")], axis=1)
    return vertices, normals.astype(np.float64)


def write_shape(path: Path, shape: Shape) -> None:
    """Write a surface as binary PLY, whole or not at all."""
    with written_whole(Path(path)) as temporary:
        temporary.write_bytes(shape.as_trimesh().export(file_type="ply"))


def to_unit_cube(points: Float[np.ndarray, "points 3"]) -> Similarity:
    """Occupancy Networks: bounding box centred at 0, its longest edge 1 (scripts/sample_mesh.py).

    Samples are drawn from the cube that is 0.1 longer: `padded_cube`.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    return _centred((low + high) / 2, 1 / _positive(float((high - low).max())))


def to_unit_sphere(points: Float[np.ndarray, "points 3"]) -> Similarity:
    """DeepSDF: box centred at 0, the farthest vertex at 1/1.03 (src/PreprocessMesh.cpp)."""
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = _positive(float(np.linalg.norm(points - centre, axis=1).max()))
    return _centred(centre, DEEPSDF_RADIUS / radius)


def to_siren_cube(points: Float[np.ndarray, "points 3"]) -> Similarity:
    """SIREN: mean to 0, then the least and greatest of all coordinates to -1 and 1, the aspect
    kept (dataio.py, PointCloud); the centre ends off 0 where they differ in size.
    """
    mean = points.mean(axis=0)
    low, high = float((points - mean).min()), float((points - mean).max())
    scale = 2 / _positive(high - low)
    return Similarity(scale, np.eye(3), -scale * mean - (scale * low + 1))


def to_fourier_features_cube(points: Float[np.ndarray, "points 3"]) -> Similarity:
    """Fourier Features: mean to 1/2, the greatest |coordinate| from it to 1/2, so in [0, 1]^3
    (3d_shape_occupancy notebook).
    """
    mean = points.mean(axis=0)
    scale = 0.5 / _positive(float(np.abs(points - mean).max()))
    return Similarity(scale, np.eye(3), 0.5 - scale * mean)


NORMALISATIONS: dict[str, Callable[[Float[np.ndarray, "points 3"]], Similarity]] = {
    "unit_cube": to_unit_cube,
    "unit_sphere": to_unit_sphere,
    "siren": to_siren_cube,
    "fourier_features": to_fourier_features_cube,
}


def normalised(shape: Shape, normalisation: str) -> tuple[Shape, Similarity]:
    """The shape in a paper's coordinates, and the similarity that brought it there."""
    if normalisation not in NORMALISATIONS:
        raise unknown_name("normalisation", normalisation, NORMALISATIONS)
    similarity = NORMALISATIONS[normalisation](shape.vertices)
    return shape.moved(similarity), similarity


def _centred(centre: Float[np.ndarray, " 3"], scale: float) -> Similarity:
    return Similarity(scale, np.eye(3), -scale * centre)


def _positive(extent: float) -> float:
    if not extent > 0:
        raise InputError("a shape without extent: all its points lie in one place")
    return extent
