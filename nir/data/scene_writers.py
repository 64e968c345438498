"""Writing scenes: the Blender and the LLFF layout that `scenes` reads, from images and cameras.

Images are written before the file that names them, each whole, so that a reader never finds a
camera without its picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nir.data.images import write_png
from nir.data.scene_images import area_mean
from nir.errors import InputError
from nir.files import write_json, written_whole
from nir.geometry.cameras import Cameras, llff_from_opencv, opengl_from_opencv


def write_blender_split(
    folder: Path,
    split: str,
    images: Float[np.ndarray, "views height width channels"],
    cameras: Cameras,
    *,
    near: float,
    far: float,
) -> None:
    """Write one split of the Blender layout: `split/r_k.png` and `transforms_split.json`.

    Images hold values in [0, 1] with straight (not premultiplied) alpha, if any. Beside Blender's
    own `camera_angle_x` stand fl_x, fl_y, cx, cy, w, h, and `near` and `far`.
    """
    _check_counts(images, cameras)
    intrinsics = cameras.intrinsics
    for view, image in enumerate(images):
        write_png(folder / split / f"r_{view}.png", image)
    frames = [
        {"file_path": f"./{split}/r_{view}", "transform_matrix": matrix.tolist()}
        for view, matrix in enumerate(opengl_from_opencv(cameras.camera_to_world))
    ]
    content: dict[str, Any] = {
        "camera_angle_x": 2 * float(np.arctan(0.5 * intrinsics.width / intrinsics.focal_x)),
        "fl_x": intrinsics.focal_x,
        "fl_y": intrinsics.focal_y,
        "cx": intrinsics.centre_x,
        "cy": intrinsics.centre_y,
        "w": intrinsics.width,
        "h": intrinsics.height,
        "near": near,
        "far": far,
        "frames": frames,
    }
    write_json(folder / f"transforms_{split}.json", content)


def write_llff(
    folder: Path,
    images: Float[np.ndarray, "views height width 3"],
    cameras: Cameras,
    bounds: Float[np.ndarray, "views 2"],
    *,
    factors: Sequence[int] = (1,),
    names: Sequence[str] | None = None,
) -> None:
    """Write the LLFF layout: `images`, `images_{factor}` (area means) and `poses_bounds.npy`.

    `names` (PNG file names) must be in sorted order, as that is the order in which poses are read.
    """
    _check_counts(images, cameras)
    names = [f"image{view:03d}.png" for view in range(len(images))] if names is None else names
    if list(names) != sorted(names) or len(names) != len(images):
        raise InputError(f"{folder}: image names must be sorted, one for each image")
    for factor in factors:
        target = folder / ("images" if factor == 1 else f"images_{factor}")
        for name, image in zip(names, images, strict=True):
            write_png(target / name, area_mean(image, factor))
    rows = llff_from_opencv(cameras.camera_to_world, cameras.intrinsics, bounds)
    with written_whole(folder / "poses_bounds.npy") as temporary, temporary.open("wb") as handle:
        np.save(handle, rows, allow_pickle=False)


def _check_counts(images: np.ndarray, cameras: Cameras) -> None:
    if len(images) != len(cameras):
        raise InputError(f"{len(images)} images but {len(cameras)} cameras; one each is needed")
