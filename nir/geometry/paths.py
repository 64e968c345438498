"""Camera paths for videos: around an object (`orbit`), or past a scene (`spiral`).

Paths are camera-to-world poses [views 4 4] in the project's convention (`geometry.cameras`); they
close, so that a video of them loops.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nir.errors import InputError
from nir.geometry.cameras import Cameras
from nir.geometry.similarity import average_pose, nearest_point_to_axes


def look_at(
    position: Float[np.ndarray, " 3"],
    target: Float[np.ndarray, " 3"],
    up: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "4 4"]:
    """The pose at `position` that looks at `target`, with `up` upwards in the image.

    >>> look_at(np.array([0.0, 0, 4]), np.zeros(3), np.array([0.0, 1, 0]))[:3, 2].tolist()
    [0.0, 0.0, -1.0]
    """
    forward = np.asarray(target, dtype=float) - position
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-9 * max(np.linalg.norm(forward), 1e-300):
        raise InputError("a camera cannot look straight along its own up direction, or at itself")
    forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, position], axis=1)
    return pose


def orbit(
    count: int,
    *,
    radius: float,
    elevation_degrees: float,
    target: Float[np.ndarray, " 3"] | None = None,
    up: Float[np.ndarray, " 3"] | None = None,
) -> Float[np.ndarray, "views 4 4"]:
    """`count` poses on a circle around `target` (the origin), `up` (z) being the axis.

    NeRF's synthetic videos use radius 4 and elevation 30 degrees (load_blender.py).
    """
    target = np.zeros(3) if target is None else np.asarray(target, dtype=float)
    up = np.array([0.0, 0.0, 1.0]) if up is None else np.asarray(up, dtype=float)
    up = up / np.linalg.norm(up)
    first = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    first = first / np.linalg.norm(first)
    second = np.cross(up, first)
    elevation = np.radians(elevation_degrees)
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    around = np.cos(angles) * first + np.sin(angles) * second
    positions = target + radius * (np.cos(elevation) * around + np.sin(elevation) * up)
    return np.stack([look_at(position, target, up) for position in positions])


def orbit_among(
    cameras: Cameras, count: int = 120, *, up: Float[np.ndarray, " 3"] | None = None
) -> Float[np.ndarray, "views 4 4"]:
    """An orbit at the mean height and distance of cameras that surround something.

    The target is the point nearest to their optical axes; `up` is their mean up axis unless given.
    """
    target = nearest_point_to_axes(cameras)
    up = -cameras.rotations[:, :, 1].mean(0) if up is None else np.asarray(up, dtype=float)
    up = up / np.linalg.norm(up)
    offsets = cameras.positions - target
    radius = float(np.linalg.norm(offsets, axis=1).mean())
    height = float((offsets @ up).mean())
    elevation = float(np.degrees(np.arcsin(np.clip(height / radius, -0.95, 0.95))))
    return orbit(count, radius=radius, elevation_degrees=elevation, target=target, up=up)


def spiral(
    cameras: Cameras,
    *,
    near: float,
    far: float,
    count: int = 120,
    rotations: float = 2.0,
    depth_rate: float = 0.5,
) -> Float[np.ndarray, "views 4 4"]:
    """LLFF's spiral about the average camera; defaults are those of NeRF's videos (load_llff.py).

    `near` and `far` are the least and greatest bound of the views. The radii are the 90th
    percentile of the cameras' distances from their mean along its axes; the path looks at the
    depth 1 / (0.25 / (0.9 near) + 0.75 / (5 far)) and moves back and forth `depth_rate` times a
    rotation.
    """
    if not 0 < near < far:
        raise InputError(f"near {near} and far {far}: a spiral needs 0 < near < far")
    centre = average_pose(cameras)
    up = -cameras.rotations[:, :, 1].sum(0)
    offsets = (cameras.positions - centre[:3, 3]) @ centre[:3, :3]
    radii = np.percentile(np.abs(offsets), 90, axis=0)
    focus = 1 / (0.25 / (0.9 * near) + 0.75 / (5 * far))
    target = centre[:3, 3] + focus * centre[:3, 2]
    angles = np.linspace(0, 2 * np.pi * rotations, count, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles), np.sin(angles * depth_rate)], axis=1)
    positions = centre[:3, 3] + (circle * radii) @ centre[:3, :3].T
    return np.stack([look_at(position, target, up) for position in positions])
