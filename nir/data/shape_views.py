"""Views of shapes: cameras around a shape, rendered pictures, depth maps and turntables.

Shapes stand in the unit cube about the origin, y up. Cameras look at the origin from the distance
and with the angle of view at which the cube's sphere fills the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float, UInt8

from nir.data.video import write_mp4
from nir.files import write_bytes
from nir.geometry.cameras import Cameras, Intrinsics
from nir.geometry.paths import look_at, orbit
from nir.geometry.rasterising import rasterise, shaded

UP = np.array([0.0, 1.0, 0.0])
DISTANCE = 2.0
FOCAL = 1.15  # of the picture's width
PORTRAIT_FOCAL = 1.4
"""Nearer, for pictures that people look at: few shapes fill their cube to its corners."""
TURNTABLE_ELEVATION = 22.0


def cameras_around(
    count: int, size: int, generator: np.random.Generator, *, elevation: tuple[float, float]
) -> Cameras:
    """Cameras at random azimuths and elevations (degrees, uniform between two).

    Choy et al. rendered ShapeNet from 25 to 30 degrees at any azimuth, with 137² pixels.
    """
    azimuth = generator.uniform(0, 2 * np.pi, count)
    height = np.radians(generator.uniform(*elevation, count))
    directions = np.stack(
        [np.cos(height) * np.sin(azimuth), np.sin(height), np.cos(height) * np.cos(azimuth)], axis=1
    )
    poses = np.stack([look_at(DISTANCE * d, np.zeros(3), UP) for d in directions])
    return Cameras(poses, Intrinsics.centred(size, size, PORTRAIT_FOCAL * size))


def camera_at(
    azimuth_degrees: float, elevation_degrees: float, size: int, *, focal: float = FOCAL
) -> Cameras:
    """One camera: azimuth 0 looks at the front (from +z), 90 from +x; focal in widths."""
    a, e = np.radians(azimuth_degrees), np.radians(elevation_degrees)
    direction = np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])
    pose = look_at(DISTANCE * direction, np.zeros(3), UP)
    return Cameras(pose[None], Intrinsics.centred(size, size, focal * size))


def rendered(
    vertices: np.ndarray, faces: np.ndarray, cameras: Cameras
) -> UInt8[np.ndarray, "views height width 3"]:
    """Shaded pictures on white, one a camera."""
    return np.stack([shaded(vertices, faces, cameras, view) for view in range(len(cameras))])


def portrait(surface: trimesh.Trimesh, size: int = 200) -> UInt8[np.ndarray, "size size 3"]:
    """One picture of a surface in the unit cube, from the front right; white if it is empty."""
    camera = camera_at(35.0, TURNTABLE_ELEVATION, size, focal=PORTRAIT_FOCAL)
    return shaded(np.asarray(surface.vertices, dtype=float), np.asarray(surface.faces), camera)


def depth_points(
    vertices: np.ndarray, faces: np.ndarray, cameras: Cameras, view: int = 0
) -> tuple[Float[np.ndarray, "pixels 3"], Float[np.ndarray, "pixels 3"]]:
    """What a depth camera measures: a point of the surface a pixel, with an estimated normal.

    Normals come from differences between neighbouring pixels' points, facing the camera, so that
    they hold no more than a depth map holds; pixels beside a jump in depth are left out.
    """
    depth = rasterise(vertices, faces, cameras, view).depth
    points = unprojected(depth, cameras, view)
    across, down = np.gradient(points, axis=1), np.gradient(points, axis=0)
    with np.errstate(invalid="ignore"):
        normals = np.cross(down, across)
        length = np.linalg.norm(normals, axis=2)
        steps = np.maximum(np.linalg.norm(across, axis=2), np.linalg.norm(down, axis=2))
        pixel = depth / cameras.intrinsics.focal_x
        good = np.isfinite(length) & (length > 0) & (steps < 4 * pixel)
    normals = normals[good] / length[good][:, None]
    towards = cameras.camera_to_world[view, :3, 3] - points[good]
    return points[good], np.where((normals * towards).sum(1)[:, None] < 0, -normals, normals)


def unprojected(
    depth: Float[np.ndarray, "height width"], cameras: Cameras, view: int = 0
) -> Float[np.ndarray, "height width 3"]:
    """Points in the world at which a depth map's pixels lie; not finite where depth is not."""
    camera, pose = cameras.intrinsics, cameras.camera_to_world[view]
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    depth = np.where(np.isfinite(depth), depth, np.nan)
    x = (columns - camera.centre_x) / camera.focal_x * depth
    y = (rows - camera.centre_y) / camera.focal_y * depth
    return np.stack([x, y, depth], axis=-1) @ pose[:3, :3].T + pose[:3, 3]


def write_turntable(
    path: Path, surfaces: Sequence[trimesh.Trimesh], *, frames: int = 36, size: int = 200
) -> None:
    """A film of surfaces side by side, in the unit cube, turning once; it loops."""
    cameras = _turning(frames, size)
    arrays = [(np.asarray(s.vertices, dtype=float), np.asarray(s.faces)) for s in surfaces]
    film = (
        np.concatenate([shaded(v, f, cameras, frame) for v, f in arrays], axis=1)
        for frame in range(frames)
    )
    write_mp4(path, film, frames_per_second=12)


def write_morphing_turntable(
    path: Path, surfaces: Sequence[trimesh.Trimesh], *, frames: int = 36, size: int = 200
) -> None:
    """A film that turns once while it passes through surfaces in their order; it loops."""
    cameras = _turning(frames, size)
    arrays = [(np.asarray(s.vertices, dtype=float), np.asarray(s.faces)) for s in surfaces]
    film = (
        shaded(*arrays[frame * len(arrays) // frames], cameras, frame) for frame in range(frames)
    )
    write_mp4(path, film, frames_per_second=12)


def _turning(frames: int, size: int) -> Cameras:
    poses = orbit(frames, radius=DISTANCE, elevation_degrees=TURNTABLE_ELEVATION, up=UP)
    return Cameras(poses, Intrinsics.centred(size, size, PORTRAIT_FOCAL * size))


def write_glb(path: Path, surface: trimesh.Trimesh) -> None:
    """The surface as a GLB, whole or not at all; an empty one is not written."""
    if len(surface.faces):
        write_bytes(path, surface.export(file_type="glb"))
