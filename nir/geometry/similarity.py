"""Similarities (scale, rotation, translation) between worlds: normalising and comparing cameras.

Photos pin the world down only up to a similarity. Loaders choose a convenient one (`recentred`,
`scaled_by_bounds`, `spherified`: LLFF's conventions) and keep the way back; pose evaluation
removes it (`align_cameras`, Umeyama 1991) before it measures errors.

A recentred world has x right, **y up, z towards the viewer**, as NeRF's forward-facing scenes do:
the cameras look along -z. (World axes are free; the cameras' own axes stay OpenCV's.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nir.errors import InputError
from nir.geometry.cameras import Cameras, opencv_from_opengl

BOUNDS_FACTOR = 0.75
"""NeRF's `bd_factor`: after scaling, the nearest bound lies at 1 / 0.75 (load_llff.py)."""

FORWARD_FACING_DEGREES = 90.0
"""Beyond this spread of viewing directions no common image plane (NDC, planes) serves all."""


@dataclass(frozen=True)
class Similarity:
    """The map x -> scale · rotation · x + translation.

    >>> double = Similarity(2.0, np.eye(3), np.zeros(3))
    >>> double.points(np.ones((1, 3))).tolist()
    [[2.0, 2.0, 2.0]]
    """

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]

    @classmethod
    def identity(cls) -> Similarity:
        """The map that changes nothing."""
        return cls(1.0, np.eye(3), np.zeros(3))

    def points(self, points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """The images of points."""
        return self.scale * points @ self.rotation.T + self.translation

    def cameras(self, cameras: Cameras) -> Cameras:
        """The cameras carried along: positions mapped, axes rotated, intrinsics kept."""
        poses = cameras.camera_to_world.copy()
        poses[:, :3, :3] = self.rotation @ cameras.rotations
        poses[:, :3, 3] = self.points(cameras.positions)
        return Cameras(poses, cameras.intrinsics)

    def inverse(self) -> Similarity:
        """The map back."""
        rotation = self.rotation.T
        return Similarity(1 / self.scale, rotation, -(rotation @ self.translation) / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """The composition: `first`, then this map."""
        return Similarity(
            self.scale * first.scale,
            self.rotation @ first.rotation,
            self.points(first.translation),
        )


def average_pose(cameras: Cameras) -> Float[np.ndarray, "4 4"]:
    """LLFF's mean camera: mean position and view direction, down axis as near the mean as can be.

    An `InputError` when the view directions cancel (cameras all around an object have no mean).
    """
    forward, down = cameras.view_directions.mean(0), cameras.rotations[:, :, 1].mean(0)
    right = np.cross(down, forward)
    if np.linalg.norm(forward) < 1e-6 or np.linalg.norm(right) < 1e-6:
        raise InputError("the cameras have no mean viewing direction: they look all around")
    forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, cameras.positions.mean(0)], 1)
    return pose


def recentred(cameras: Cameras) -> tuple[Cameras, Similarity]:
    """Move the world so that the average camera sits at the origin and looks along -z, y up.

    Returns the moved cameras and the similarity that moved them (NeRF's `recenter_poses`).
    """
    pose = opencv_from_opengl(average_pose(cameras)[None])[0]
    back = pose[:3, :3].T
    similarity = Similarity(1.0, back, -back @ pose[:3, 3])
    return similarity.cameras(cameras), similarity


def scaled_by_bounds(
    cameras: Cameras, nearest_bound: float, factor: float = BOUNDS_FACTOR
) -> tuple[Cameras, Similarity]:
    """Scale the world so that the nearest bound of all views lies at depth 1 / `factor`."""
    if not nearest_bound > 0:
        raise InputError(f"nearest bound {nearest_bound}: must be positive to scale a scene by it")
    similarity = Similarity(1 / (nearest_bound * factor), np.eye(3), np.zeros(3))
    return similarity.cameras(cameras), similarity


def nearest_point_to_axes(cameras: Cameras) -> Float[np.ndarray, " 3"]:
    """The point with the least sum of squared distances to the cameras' optical axes."""
    directions = cameras.view_directions
    projectors = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    if np.linalg.cond(projectors.mean(0)) > 1e8:
        raise InputError("the cameras' optical axes are parallel: they surround no point")
    offsets = projectors @ cameras.positions[:, :, None]
    return np.linalg.solve(projectors.mean(0), offsets.mean(0))[:, 0]


def spherified(cameras: Cameras) -> tuple[Cameras, Similarity]:
    """Move a capture that surrounds something: its centre to 0, mean camera distance 1, z up.

    The centre is the point nearest to all optical axes, up the mean direction from it to the
    cameras, the scale the root mean square distance (NeRF's `spherify_poses`).
    """
    centre = nearest_point_to_axes(cameras)
    up = (cameras.positions - centre).mean(0)
    if np.linalg.norm(up) < 1e-6 * np.linalg.norm(cameras.positions - centre, axis=1).max():
        up = -cameras.rotations[:, :, 1].mean(0)
    up = up / np.linalg.norm(up)
    first = np.cross([0.1, 0.2, 0.3], up)
    first = first / np.linalg.norm(first)
    rotation = np.stack([first, np.cross(up, first), up])
    distance = np.sqrt(((cameras.positions - centre) ** 2).sum(1).mean())
    similarity = Similarity(1 / distance, rotation, -rotation @ centre / distance)
    return similarity.cameras(cameras), similarity


def view_angle_spread(cameras: Cameras) -> float:
    """The largest angle between two cameras' viewing directions, in degrees."""
    cosine = cameras.view_directions @ cameras.view_directions.T
    return float(np.degrees(np.arccos(np.clip(cosine.min(), -1, 1))))


def is_forward_facing(cameras: Cameras, limit_degrees: float = FORWARD_FACING_DEGREES) -> bool:
    """Whether one image plane can serve all views (NDC and planes need that); else it is 360°."""
    return view_angle_spread(cameras) <= limit_degrees


def umeyama(
    source: Float[np.ndarray, "points 3"], target: Float[np.ndarray, "points 3"]
) -> Similarity:
    """The similarity that maps `source` onto `target` with the least squared error.

    Umeyama, TPAMI 1991, equations 40-42. At least three points that are not on one line are
    needed, else an `InputError`.
    """
    if len(source) != len(target) or len(source) < 3:
        raise InputError(f"{len(source)} and {len(target)} points: alignment needs 3 or more pairs")
    source_mean, target_mean = source.mean(0), target.mean(0)
    centred_source, centred_target = source - source_mean, target - target_mean
    for points in (centred_source, centred_target):
        spread = np.linalg.svd(points, compute_uv=False)
        if spread[1] <= 1e-9 * max(spread[0], np.finfo(float).tiny):
            raise InputError("the points to align lie on one line: their rotation is undetermined")
    left, singular, right = np.linalg.svd(centred_target.T @ centred_source)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = (left * signs) @ right
    scale = float((singular * signs).sum() / (centred_source**2).sum())
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def align_cameras(cameras: Cameras, reference: Cameras) -> tuple[Cameras, Similarity]:
    """Move `cameras` so that their positions fit those of `reference` (same order) best."""
    similarity = umeyama(cameras.positions, reference.positions)
    return similarity.cameras(cameras), similarity


@dataclass(frozen=True)
class PoseErrors:
    """How far aligned cameras are from their reference; angles in degrees.

    Two measures of the mean position error, since papers and programs mean either by the cameras'
    spread: `position_share` is its share of the root mean square distance of the reference
    positions from their mean, `extent_share` of the diagonal of their box (some three times as
    long). `relative_rotation_degrees` is the mean, over all pairs of views, of the error of the
    rotation from one view to the other: no alignment enters it.
    """

    rotation_degrees: Float[np.ndarray, " views"]
    position: Float[np.ndarray, " views"]
    position_share: float
    extent_share: float
    relative_rotation_degrees: float

    def sentences(self) -> tuple[str, ...]:
        """The errors for a person, one finding a line."""
        mean, largest = self.rotation_degrees.mean(), self.rotation_degrees.max()
        return (
            f"{len(self.position)} cameras aligned by a similarity",
            f"rotation off by {mean:.3f} degrees on average, {largest:.3f} at most; between pairs "
            f"of views by {self.relative_rotation_degrees:.3f}",
            f"position off by {self.extent_share:.2%} of the cameras' extent (diagonal of their "
            f"box) on average, {self.position_share:.2%} of their spread (root mean square "
            "distance from their mean)",
        )


def pose_errors(cameras: Cameras, reference: Cameras) -> PoseErrors:
    """Align `cameras` to `reference` by a similarity and measure what remains."""
    aligned, _ = align_cameras(cameras, reference)
    position = np.linalg.norm(aligned.positions - reference.positions, axis=1)
    centred = reference.positions - reference.positions.mean(0)
    spread = float(np.sqrt((centred**2).sum(1).mean()))
    extent = float(np.linalg.norm(np.ptp(reference.positions, axis=0)))
    return PoseErrors(
        rotation_degrees=rotation_angles(aligned.rotations, reference.rotations),
        position=position,
        position_share=float(position.mean()) / spread,
        extent_share=float(position.mean()) / extent,
        relative_rotation_degrees=_mean_relative_rotation_error(cameras, reference),
    )


def rotation_angles(
    first: Float[np.ndarray, "*batch 3 3"], second: Float[np.ndarray, "*batch 3 3"]
) -> Float[np.ndarray, "*batch"]:
    """Angles in degrees of the rotations that carry `first` onto `second`."""
    # The chord is accurate for the tiny angles at which the arc cosine of the trace is not.
    chord = np.linalg.norm(first - second, axis=(-2, -1)) / np.sqrt(8)
    return np.degrees(2 * np.arcsin(np.clip(chord, 0, 1)))


def _mean_relative_rotation_error(cameras: Cameras, reference: Cameras) -> float:
    one, other = np.triu_indices(len(cameras), k=1)

    def relative(rotations: Float[np.ndarray, "views 3 3"]) -> Float[np.ndarray, "pairs 3 3"]:
        return np.swapaxes(rotations[one], 1, 2) @ rotations[other]

    return float(rotation_angles(relative(cameras.rotations), relative(reference.rotations)).mean())
