"""Spaces: scenes photographed with a rig of 16 cameras (Flynn et al., DeepView, CVPR 2019).

`models.json` lists rig positions, each a list of 16 views: `position` in metres, `orientation` as
axis times angle of the rotation from the world to the camera, `focal_length`, `pixel_aspect_ratio`,
`principal_point`, `width`, `height`, `relative_path`. Axes are OpenCV's, pixel centres lie at +0.5.
The cameras of the rig differ a little, and a `Scene` has one camera: images are resampled to the
mean camera, which is part of their protocol.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from nir.data.images import read_image
from nir.data.scene_images import area_mean
from nir.data.scenes import Scene
from nir.errors import InputError
from nir.files import read_json
from nir.geometry.cameras import Cameras, Intrinsics, check_poses
from nir.geometry.similarity import Similarity

DENSE_TEST_VIEWS = (5, 7, 10, 11)
"""Held out by the experiment with 12 inputs (spaces_dataset:code/compute_metrics.py, "dense")."""

NEAR_METRES, FAR_METRES = 1.0, 100.0
"""Bounds for scenes whose folder has no `planes.txt`."""


def load_spaces(folder: Path, *, rig: int = 0, downscale: int = 1) -> Scene:
    """Read one rig position of a scene: 12 views train and 4 test, as in NeX's Table 3."""
    file = Path(folder) / "models.json"
    content = read_json(file)
    try:
        views = content[rig]
        poses = np.stack([_pose(view) for view in views])
        cameras = [_intrinsics(view) for view in views]
        paths = [file.parent / view["relative_path"] for view in views]
    except InputError as error:  # it says what is wrong, but not where
        raise InputError(f"{file}: rig position {rig}: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: not a camera file of Spaces, or it has no rig position {rig} ({error!r})"
        ) from error
    if len(paths) <= max(DENSE_TEST_VIEWS):
        raise InputError(f"{file}: {len(paths)} cameras, but Spaces' rig has 16")
    check_poses(poses, [path.parent.name for path in paths], str(file))
    common = _mean_camera(cameras)
    images = [
        area_mean(_resampled(path, camera, common), downscale)
        for path, camera in zip(paths, cameras, strict=True)
    ]
    number = np.arange(len(paths))
    held = np.isin(number, DENSE_TEST_VIEWS)
    return Scene(
        name=file.parent.name,
        layout="spaces",
        images=np.stack(images),
        cameras=Cameras(poses, common.shrunk(downscale)),
        names=tuple(path.relative_to(file.parent).as_posix() for path in paths),
        splits={"train": number[~held], "test": number[held]},
        near=NEAR_METRES,
        far=FAR_METRES,
        bounds=np.tile([[NEAR_METRES, FAR_METRES]], (len(paths), 1)),
        background=None,
        ndc=False,
        linear_in_disparity=True,
        world_from_scene=Similarity.identity(),
        pixels="resampled to the mean camera of the rig",
    )


def _pose(view: dict[str, Any]) -> Float[np.ndarray, "4 4"]:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(np.array(view["orientation"], float)).inv().as_matrix()
    pose[:3, 3] = view["position"]
    return pose


def _intrinsics(view: dict[str, Any]) -> Intrinsics:
    focal = float(view["focal_length"])
    across, down = view["principal_point"]
    return Intrinsics(
        int(view["width"]),
        int(view["height"]),
        focal,
        focal * float(view["pixel_aspect_ratio"]),
        float(across),
        float(down),
    )


def _mean_camera(cameras: list[Intrinsics]) -> Intrinsics:
    """Mean focal lengths and principal point; no larger than any of the images."""
    names = ("focal_x", "focal_y", "centre_x", "centre_y")
    means = (float(np.mean([getattr(camera, name) for camera in cameras])) for name in names)
    width, height = (min(getattr(camera, n) for camera in cameras) for n in ("width", "height"))
    return Intrinsics(width, height, *means)


def _resampled(
    path: Path, own: Intrinsics, common: Intrinsics
) -> Float[np.ndarray, "height width 3"]:
    """The image as the common camera would have taken it from the same pose; bilinear."""
    image = read_image(path, colour="rgb", background=None)
    if image.shape[:2] != (own.height, own.width):
        raise InputError(
            f"{path}: {image.shape[1]} x {image.shape[0]} pixels, but models.json says "
            f"{own.width} x {own.height}; take both from the same resolution"
        )
    across = (np.arange(common.width) + 0.5 - common.centre_x) / common.focal_x
    down = (np.arange(common.height) + 0.5 - common.centre_y) / common.focal_y
    columns = across * own.focal_x + own.centre_x - 0.5
    rows = down * own.focal_y + own.centre_y - 0.5
    at = np.meshgrid(rows, columns, indexing="ij")
    channels = [map_coordinates(image[..., k], at, order=1, mode="nearest") for k in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)
