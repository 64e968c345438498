"""Cameras: the one convention of the project, and the way in and out of everyone else's.

Convention, held everywhere: a pose is **camera-to-world**; the camera's axes are OpenCV's
(**x right, y down, z forward**); the centre of the pixel in column i and row j lies at
(i + 0.5, j + 0.5), so that an image spans [0, width] x [0, height].

Other conventions exist only in the converters of this file:
Blender and OpenGL (x right, y up, z backward), LLFF's `poses_bounds.npy` (columns down, right,
backward) and COLMAP (world-to-camera, quaternion w x y z). Poses are numpy, in float64, so that
reading and drawing cameras needs no torch; `geometry.rays` makes tensors of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from nir.errors import InputError

ROTATION_TOLERANCE = 1e-3
"""Largest entry of |RᵀR - I| that still counts as rounding in a file rather than a wrong pose."""


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera's image size, focal lengths and principal point, all in pixels.

    >>> Intrinsics.centred(800, 600, focal=1000.0).centre_x
    400.0
    """

    width: int
    height: int
    focal_x: float
    focal_y: float
    centre_x: float
    centre_y: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"image size {self.width} x {self.height}: must be at least 1 x 1")
        focal = (self.focal_x, self.focal_y)
        if not all(math.isfinite(value) and value > 0 for value in focal):
            raise InputError(f"focal length {focal}: must be positive and finite, in pixels")

    @classmethod
    def centred(cls, width: int, height: int, focal: float) -> Intrinsics:
        """Square pixels and the principal point in the middle of the image."""
        return cls(width, height, float(focal), float(focal), width / 2, height / 2)

    @classmethod
    def from_field_of_view(cls, width: int, height: int, angle_x: float) -> Intrinsics:
        """Square pixels from the horizontal angle of view in radians: f = ½W / tan(½ angle).

        >>> round(Intrinsics.from_field_of_view(800, 800, 0.6911112070083618).focal_x, 2)
        1111.11
        """
        if not 0 < angle_x < math.pi:
            raise InputError(f"horizontal angle of view {angle_x}: must lie between 0 and pi")
        return cls.centred(width, height, 0.5 * width / math.tan(0.5 * angle_x))

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """The calibration matrix K, from camera axes to homogeneous pixels."""
        return np.array(
            [[self.focal_x, 0, self.centre_x], [0, self.focal_y, self.centre_y], [0, 0, 1.0]]
        )

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same camera with its image resampled to `width` x `height` pixels."""
        across, down = width / self.width, height / self.height
        return Intrinsics(
            width,
            height,
            self.focal_x * across,
            self.focal_y * down,
            self.centre_x * across,
            self.centre_y * down,
        )

    def shrunk(self, factor: int) -> Intrinsics:
        """The camera of an image averaged over squares of `factor` pixels, incomplete ones cut."""
        return Intrinsics(
            self.width // factor,
            self.height // factor,
            self.focal_x / factor,
            self.focal_y / factor,
            self.centre_x / factor,
            self.centre_y / factor,
        )


@dataclass(frozen=True)
class Cameras:
    """Poses that share one set of intrinsics.

    `camera_to_world` may be given as [views 3 4] or [views 4 4] and is kept as [views 4 4]. A
    singular, mirrored or non-finite pose is an `InputError` that names its index.
    """

    camera_to_world: Float[np.ndarray, "views rows 4"]
    intrinsics: Intrinsics

    def __post_init__(self) -> None:
        poses = as_square(self.camera_to_world)
        check_poses(poses)
        object.__setattr__(self, "camera_to_world", poses)

    def __len__(self) -> int:
        return len(self.camera_to_world)

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Cameras:
        """The chosen cameras, as a batch (of one, for a plain number)."""
        chosen = [index] if isinstance(index, int | np.integer) else index
        return Cameras(self.camera_to_world[chosen], self.intrinsics)

    @property
    def positions(self) -> Float[np.ndarray, "views 3"]:
        """Centres of projection, in the world."""
        return self.camera_to_world[:, :3, 3]

    @property
    def rotations(self) -> Float[np.ndarray, "views 3 3"]:
        """Columns are the cameras' right, down and forward axes, in the world."""
        return self.camera_to_world[:, :3, :3]

    @property
    def view_directions(self) -> Float[np.ndarray, "views 3"]:
        """Unit vectors along which the cameras look."""
        return self.camera_to_world[:, :3, 2]

    @property
    def world_to_camera(self) -> Float[np.ndarray, "views 4 4"]:
        """The inverse poses (COLMAP's extrinsics)."""
        return np.linalg.inv(self.camera_to_world)

    def resized(self, width: int, height: int) -> Cameras:
        """The same cameras with images of `width` x `height` pixels."""
        return Cameras(self.camera_to_world, self.intrinsics.resized(width, height))

    def project(
        self, points: Float[np.ndarray, "*views points 3"]
    ) -> tuple[Float[np.ndarray, "views points 2"], Float[np.ndarray, "views points"]]:
        """Pixel coordinates (x, y) and depth along the forward axis of world points.

        Points are shared by all cameras ([points 3]) or given for each ([views points 3]). Behind
        a camera the depth is negative and the pixel coordinates mean nothing.
        """
        rotation, translation = self.world_to_camera[:, :3, :3], self.world_to_camera[:, :3, 3]
        inside = points @ np.swapaxes(rotation, 1, 2) + translation[:, None]
        depth = inside[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            homogeneous = (inside / depth[..., None]) @ self.intrinsics.matrix.T
        return homogeneous[..., :2], depth


def as_square(poses: Float[np.ndarray, "views rows 4"]) -> Float[np.ndarray, "views 4 4"]:
    """Complete [views 3 4] poses by the row (0, 0, 0, 1); [views 4 4] pass, in float64."""
    poses = np.asarray(poses, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[1:] not in ((3, 4), (4, 4)):
        raise InputError(f"poses of shape {poses.shape}: expected [views, 3, 4] or [views, 4, 4]")
    square = np.tile(np.eye(4), (len(poses), 1, 1))
    square[:, :3] = poses[:, :3]
    return square


def check_poses(
    poses: Float[np.ndarray, "views rows 4"],
    names: Sequence[str] | None = None,
    source: str = "poses",
) -> None:
    """Refuse a pose that is not finite, singular, mirrored or not a rotation.

    The `InputError` names `source` (a file, say) and the pose: by `names`, else by its index.
    """
    for index, pose in enumerate(poses):
        fault = _fault_of_rotation(pose[:3, :3], pose[:3, 3])
        if fault:
            name = f"pose {index}" if names is None else f"pose {index} ({names[index]})"
            raise InputError(f"{source}: {name} {fault}")


def _fault_of_rotation(
    rotation: Float[np.ndarray, "3 3"], position: Float[np.ndarray, " 3"]
) -> str | None:
    if not (np.isfinite(rotation).all() and np.isfinite(position).all()):
        return "holds numbers that are not finite; remove this view or estimate its pose again"
    determinant = float(np.linalg.det(rotation))
    if abs(determinant) < ROTATION_TOLERANCE:
        return "is singular (determinant 0); remove this view or estimate its pose again"
    if determinant < 0:
        return (
            f"is mirrored (determinant {determinant:.3g}); "
            "one axis has the wrong sign: check the convention the file was written in"
        )
    error = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if error > ROTATION_TOLERANCE:
        return (
            f"is not a rotation (RᵀR differs from the identity by {error:.2g}); "
            "take scale and shear out of the matrix"
        )
    return None


def opencv_from_opengl(
    camera_to_world: Float[np.ndarray, "views rows 4"],
) -> Float[np.ndarray, "views rows 4"]:
    """From Blender's and OpenGL's axes (x right, y up, z backward): y and z change sign.

    >>> opencv_from_opengl(np.eye(4)[None])[0].diagonal().tolist()
    [1.0, -1.0, -1.0, 1.0]
    """
    return camera_to_world * np.array([1.0, -1.0, -1.0, 1.0])


def opengl_from_opencv(
    camera_to_world: Float[np.ndarray, "views rows 4"],
) -> Float[np.ndarray, "views rows 4"]:
    """To Blender's and OpenGL's axes; the inverse of `opencv_from_opengl`."""
    return camera_to_world * np.array([1.0, -1.0, -1.0, 1.0])


def opencv_from_llff(
    poses_bounds: Float[np.ndarray, "views 17"],
) -> tuple[
    Float[np.ndarray, "views 4 4"], Float[np.ndarray, "views 3"], Float[np.ndarray, "views 2"]
]:
    """Camera-to-world poses, (height, width, focal) and (near, far) of LLFF's `poses_bounds.npy`.

    A row holds a 3 x 5 matrix, whose columns are the camera's down, right and backward axes, its
    position and (height, width, focal in pixels), followed by the near and far bound of what this
    view sees.
    """
    matrices = np.asarray(poses_bounds, dtype=np.float64)[:, :15].reshape(-1, 3, 5)
    down, right, backward, position, size_and_focal = np.moveaxis(matrices, 2, 0)
    poses = np.stack([right, down, -backward, position], axis=2)
    return as_square(poses), size_and_focal, np.asarray(poses_bounds[:, 15:], dtype=np.float64)


def llff_from_opencv(
    camera_to_world: Float[np.ndarray, "views rows 4"],
    intrinsics: Intrinsics,
    bounds: Float[np.ndarray, "views 2"],
) -> Float[np.ndarray, "views 17"]:
    """Rows for LLFF's `poses_bounds.npy`; the format knows one focal and a centred image only."""
    right, down, forward, position = np.moveaxis(np.asarray(camera_to_world)[:, :3], 2, 0)
    size_and_focal = np.array([intrinsics.height, intrinsics.width, intrinsics.focal_x])
    last = np.broadcast_to(size_and_focal, position.shape)
    matrices = np.stack([down, right, -forward, position, last], axis=2)
    return np.concatenate([matrices.reshape(-1, 15), bounds], axis=1)


def opencv_from_colmap(
    quaternions: Float[np.ndarray, "views 4"], translations: Float[np.ndarray, "views 3"]
) -> Float[np.ndarray, "views 4 4"]:
    """Camera-to-world poses of COLMAP's world-to-camera quaternions (w, x, y, z), translations.

    COLMAP's camera axes are OpenCV's, and its pixel centres lie at +0.5 as ours do.
    """
    to_camera = Rotation.from_quat(quaternions, scalar_first=True).as_matrix()
    rotation = np.swapaxes(to_camera, 1, 2)
    position = -(rotation @ translations[:, :, None])
    return as_square(np.concatenate([rotation, position], axis=2))


def colmap_from_opencv(
    camera_to_world: Float[np.ndarray, "views rows 4"],
) -> tuple[Float[np.ndarray, "views 4"], Float[np.ndarray, "views 3"]]:
    """World-to-camera quaternions (w, x, y, z; w not negative) and translations, for COLMAP."""
    to_camera = np.swapaxes(np.asarray(camera_to_world)[:, :3, :3], 1, 2)
    quaternions = Rotation.from_matrix(to_camera).as_quat(canonical=True, scalar_first=True)
    translations = -(to_camera @ np.asarray(camera_to_world)[:, :3, 3:])[:, :, 0]
    return quaternions, translations
