"""Rasterising: which triangle each pixel of a camera sees, and pictures shaded from that.

A z-buffer in numpy, for renderings, depth maps and turntables. Cameras follow
`geometry.cameras`; *depth* is the distance along the camera's forward axis at pixel centres,
infinite where nothing is. Surfaces are arrays of vertices and faces, seen from both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer, UInt8

from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.surfaces import face_normals

CANDIDATES_AT_ONCE = 2**21
"""Pairs of pixel and triangle that are tested together; bounds the memory."""
LIGHT = np.array([0.42, 0.78, 0.46])
"""Direction to the lamp in a world where y is up and the viewer stands towards +z."""
COLOUR = np.array([0.62, 0.74, 0.90])


@dataclass(frozen=True)
class Raster:
    """What one camera sees: depth, and the index of the nearest face (-1 for none)."""

    depth: Float[np.ndarray, "height width"]
    face: Int[np.ndarray, "height width"]


def rasterise(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    cameras: Cameras,
    view: int = 0,
) -> Raster:
    """Find the nearest face in each pixel; triangles that reach behind the camera are left out."""
    camera = cameras.intrinsics
    nearness = np.zeros(camera.height * camera.width)
    index = np.full(camera.height * camera.width, -1)
    if len(faces):
        corners, inverse_depth, kept = _projected(vertices, faces, cameras, view)
        for pixel, triangle, value in _candidates(corners, inverse_depth, camera):
            # Among equal indices the last assignment stays: the nearest, after sorting.
            order = np.argsort(value, kind="stable")
            order = order[value[order] > nearness[pixel[order]]]
            nearness[pixel[order]] = value[order]
            index[pixel[order]] = kept[triangle[order]]
    with np.errstate(divide="ignore"):
        depth = np.where(index >= 0, 1 / nearness, np.inf)
    shape = (camera.height, camera.width)
    return Raster(depth.reshape(shape), index.reshape(shape))


def _projected(
    vertices: np.ndarray, faces: np.ndarray, cameras: Cameras, view: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel coordinates [triangles 3 2] and 1/depth [triangles 3] of triangles in front."""
    camera, pose = cameras.intrinsics, cameras.camera_to_world[view]
    local = (vertices - pose[:3, 3]) @ pose[:3, :3]
    kept = np.flatnonzero((local[faces, 2] > 1e-6).all(axis=1))
    local = local[faces[kept]]
    inverse = 1 / local[..., 2]
    x = camera.focal_x * local[..., 0] * inverse + camera.centre_x
    y = camera.focal_y * local[..., 1] * inverse + camera.centre_y
    return np.stack([x, y], axis=-1), inverse, kept


def _candidates(
    corners: np.ndarray, inverse_depth: np.ndarray, camera: Intrinsics
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pixels covered by triangles, in portions: pixel, triangle, 1/depth there."""
    size = np.array([camera.width, camera.height])
    low = np.clip(np.ceil(corners.min(axis=1) - 0.5), 0, size).astype(np.int64)
    high = np.clip(np.floor(corners.max(axis=1) - 0.5) + 1, 0, size).astype(np.int64)
    extent = np.maximum(high - low, 0)
    ends = np.cumsum(extent.prod(axis=1))
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + CANDIDATES_AT_ONCE, "right")))
        chosen = np.arange(start, stop)
        counts = extent[chosen].prod(axis=1)
        triangle = np.repeat(chosen, counts)
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        column = low[triangle, 0] + number % np.maximum(extent[triangle, 0], 1)
        row = low[triangle, 1] + number // np.maximum(extent[triangle, 0], 1)
        weights = _barycentric(corners[triangle], column + 0.5, row + 0.5)
        inside = np.flatnonzero((weights >= 0).all(axis=1))
        value = (weights[inside] * inverse_depth[triangle[inside]]).sum(axis=1)
        yield (row * camera.width + column)[inside], triangle[inside], value
        start = stop


def _barycentric(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """Barycentric coordinates of pixels; of a triangle without area they are negative."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    twice_area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (
        c[:, 0] - a[:, 0]
    )
    safe = np.where(np.abs(twice_area) > 1e-12, twice_area, np.inf)
    second = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) / safe
    third = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) / safe
    first = np.where(np.isfinite(safe), 1 - second - third, -1.0)
    return np.stack([first, second, third], axis=1)


def shaded(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Integer[np.ndarray, "faces 3"],
    cameras: Cameras,
    view: int = 0,
    *,
    samples: int = 2,
    background: float = 1.0,
    smooth: bool = False,
) -> UInt8[np.ndarray, "height width 3"]:
    """A picture under one lamp, `samples`² points averaged a pixel, flat or with smooth normals."""
    camera = cameras.intrinsics
    fine = Cameras(
        cameras.camera_to_world[[view]],
        camera.resized(camera.width * samples, camera.height * samples),
    )
    raster = rasterise(vertices, faces, fine)
    picture = np.full((*raster.face.shape, 3), background)
    seen = raster.face >= 0
    if seen.any():
        normals, areas = face_normals(vertices, faces)
        if smooth:
            normals = _smoothed(vertices, faces, normals * areas[:, None])
        picture[seen] = _light(normals[raster.face[seen]], cameras.camera_to_world[view])
    coarse = picture.reshape(camera.height, samples, camera.width, samples, 3).mean(axis=(1, 3))
    return (255 * np.clip(coarse, 0, 1) + 0.5).astype(np.uint8)


def _light(normals: np.ndarray, pose: np.ndarray) -> Float[np.ndarray, "pixels 3"]:
    """Ambient light, a lamp, and a little light from the eye; normals are turned to the eye."""
    towards_eye = -normals @ pose[:3, 2]
    normals = np.where(towards_eye[:, None] < 0, -normals, normals)
    lamp = np.clip(normals @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    sky = 0.5 + 0.5 * normals[:, 1]
    return (0.22 + 0.18 * sky + 0.42 * lamp + 0.18 * np.abs(towards_eye))[:, None] * COLOUR


def _smoothed(vertices: np.ndarray, faces: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """Faces' normals averaged over their corners' neighbours."""
    at_corners = np.zeros_like(vertices, dtype=np.float64)
    for corner in range(3):
        np.add.at(at_corners, faces[:, corner], weighted)
    mean = at_corners[faces].sum(axis=1)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-30)
