"""Camera files of the Blender layout: one `transforms_*.json` as images, poses and a camera.

What cannot be used is an `InputError` that names the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from nir.data.scene_images import size_and_alpha
from nir.errors import InputError
from nir.files import read_json
from nir.geometry.cameras import Intrinsics, check_poses, opencv_from_opengl


def read_frames(file: Path, *, skip: int) -> tuple[list[Path], Float[np.ndarray, "views 4 4"]]:
    """Paths of every `skip`-th image, which must be there, and checked OpenCV poses."""
    content = read_json(file)
    try:
        frames = content["frames"]
        stems = [file.parent / frame["file_path"] for frame in frames]
        matrices = np.array([frame["transform_matrix"] for frame in frames], dtype=np.float64)
        poses = opencv_from_opengl(matrices.reshape(len(frames), 4, 4))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file}: not a Blender-layout camera file ({error!r}); every frame needs file_path "
            "and a 4 x 4 transform_matrix"
        ) from error
    paths = [stem if stem.suffix else stem.with_suffix(".png") for stem in stems]
    if not paths:
        raise InputError(f"{file}: lists no frames")
    check_poses(poses, [path.name for path in paths], str(file))
    _check_images_exist(file, paths, skip)
    return paths[::skip], poses[::skip]


def _check_images_exist(file: Path, paths: list[Path], skip: int) -> None:
    missing = [path for path in paths[::skip] if not path.is_file()]
    if not missing:
        return
    fitting = [n for n in range(2, 33) if all(path.is_file() for path in paths[::n])]
    hint = (
        f"every {fitting[0]}th view is there, test_skip={fitting[0]} uses those"
        if fitting
        else "complete the folder or take the views out of the file"
    )
    raise InputError(
        f"{missing[0]}: no such image, but {file.name} names it "
        f"({len(missing)} of {len(paths[::skip])} are missing); {hint}"
    )


def intrinsics_of(file: Path, content: dict[str, Any], image: Path) -> Intrinsics:
    """From `camera_angle_x` (Blender), or from fl_x, fl_y, cx, cy, w, h (measured cameras)."""
    width, height = size_and_alpha(image)[:2]
    try:
        if "fl_x" not in content:
            return Intrinsics.from_field_of_view(width, height, float(content["camera_angle_x"]))
        stored_width, stored_height = int(content.get("w", width)), int(content.get("h", height))
        focal_x = float(content["fl_x"])
        focal_y = float(content.get("fl_y", focal_x))
        centre_x = float(content.get("cx", stored_width / 2))
        centre_y = float(content.get("cy", stored_height / 2))
        stored = Intrinsics(stored_width, stored_height, focal_x, focal_y, centre_x, centre_y)
    except InputError as error:  # it says what is wrong, but not where
        raise InputError(f"{file}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: needs camera_angle_x or fl_x, as numbers ({error!r})") from error
    return stored.resized(width, height)


def bound_of(file: Path, content: dict[str, Any], key: str, otherwise: float) -> float:
    """The file's `near` or `far`, or what holds without one."""
    value = content.get(key, otherwise)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{file}: {key}: a number is expected, not {value!r}; correct it or leave it out"
        ) from error
