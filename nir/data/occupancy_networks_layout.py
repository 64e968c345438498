"""Occupancy Networks' preprocessed ShapeNet, read as it was published.

`<class>/<model>/points.npz` (points, occupancies as packed bits), `pointcloud.npz` (points,
normals), `img_choy2016/000.jpg` … with `cameras.npz`, and `model.binvox` (32³); splits stand in
`<class>/train.lst`, `val.lst`, `test.lst`. All points lie in the unit cube already.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from nir.data.images import read_image
from nir.errors import InputError
from nir.random import seed_of

SPLITS = ("train", "val", "test")
ROUNDING_NOISE = 1e-4
"""Deviation added to float16 points, as im2mesh/data/fields.py does, against their grid."""


def taken_for_that_layout(folder: Path) -> bool:
    """Whether a folder holds preprocessed models."""
    return any(folder.glob("*/train.lst")) and any(folder.glob("*/*/points.npz"))


def splits_of(folder: Path) -> dict[str, list[str]]:
    """Names "class/model" by split, from the lists of all classes."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        for file in sorted(folder.glob(f"*/{split}.lst")):
            models = file.read_text(encoding="utf-8").split()
            splits[split] += [f"{file.parent.name}/{model}" for model in models]
    return splits


def read_model(folder: Path, name: str) -> Mapping[str, np.ndarray]:
    """Read one model's arrays under the keys of `shape_preparation`, as far as they are there."""
    model = folder / name
    points = _load(model / "points.npz", ("points", "occupancies"))
    places = points["points"]
    if places.dtype == np.float16:
        noise = np.random.default_rng(seed_of("rounding", name))
        places = places.astype(np.float32) + ROUNDING_NOISE * noise.standard_normal(
            places.shape, dtype=np.float32
        )
    inside = points["occupancies"]
    if inside.dtype == np.uint8 and len(inside) < len(places):
        inside = np.unpackbits(inside)[: len(places)]
    cloud = _load(model / "pointcloud.npz", ("points", "normals"))
    arrays = {
        "uniform_points": places.astype(np.float32),
        "uniform_inside": inside.astype(bool),
        "surface_points": cloud["points"].astype(np.float32),
        "surface_normals": cloud["normals"].astype(np.float32),
    }
    if (model / "model.binvox").is_file():
        arrays["voxels"] = read_binvox(model / "model.binvox")
    return arrays | _views(model / "img_choy2016")


def _views(folder: Path) -> dict[str, np.ndarray]:
    files = sorted([*folder.glob("*.jpg"), *folder.glob("*.png")])
    if not files:
        return {}
    images = [read_image(file, colour="rgb", background=1.0) for file in files]
    views = {"views": (255 * np.stack(images) + 0.5).astype(np.uint8)}
    if (folder / "cameras.npz").is_file():
        names = [f"world_mat_{number}" for number in range(len(files))]
        cameras = _load(folder / "cameras.npz", (*names, "camera_mat_0"))
        views["camera_to_world"] = np.stack([_inverse(cameras[name]) for name in names])
        views["focal"] = np.float64(cameras["camera_mat_0"][0, 0])
    return views


def _inverse(world_to_camera: np.ndarray) -> np.ndarray:
    square = np.eye(4)
    square[:3] = world_to_camera[:3]
    return np.linalg.inv(square)


def _load(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in keys}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); unpack the data set again") from error


def read_binvox(path: Path) -> Bool[np.ndarray, "x y z"]:
    """Read a run-length coded voxel grid, turned from the file's order x z y to x y z."""
    content = path.read_bytes()
    header, _, data = content.partition(b"data\n")
    sizes = [line.split()[1:] for line in header.splitlines() if line.startswith(b"dim")]
    if not content.startswith(b"#binvox") or len(sizes) != 1:
        raise InputError(f"{path}: not a binvox file; unpack the data set again")
    side = [int(size) for size in sizes[0]]
    runs = np.frombuffer(data, dtype=np.uint8)
    values = np.repeat(runs[0::2], runs[1::2]) if len(runs) % 2 == 0 else np.zeros(0)
    if len(values) != np.prod(side):
        raise InputError(f"{path}: holds {len(values)} voxels, not {side}; unpack it again")
    return values.reshape(side).transpose(0, 2, 1).astype(bool)
