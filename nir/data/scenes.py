"""Scenes: photographs with known cameras, read from the Blender and the LLFF layout of a folder.

A `Scene` is what view synthesis starts from: images, cameras (project convention), which views
train and which test, and how deep the scene is. Depths and bounds are in **scene units**, those of
`Scene.cameras`; `Scene.world_from_scene` leads back to the units of the files.

Blender layout: `transforms_{train,val,test}.json` and RGBA images, composited on the background.
LLFF layout: `images` or `images_{factor}`, and `poses_bounds.npy`, one row an image in the order
of their sorted file names; every 8th tests. `scene_writers` writes both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from nir.data.scene_images import read_views, size_and_alpha
from nir.data.transforms import bound_of, intrinsics_of, read_frames
from nir.errors import InputError
from nir.files import read_json
from nir.geometry import similarity
from nir.geometry.cameras import (
    Cameras,
    Intrinsics,
    check_poses,
    opencv_from_llff,
)

HOLD_EVERY = 8
"""LLFF's test views are every 8th in the order of file names, the first included (llffhold)."""

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Images with cameras; the arrays' first axis is the view, and `splits` indexes it.

    near, far: bounds of everything seen, in scene units (also where rays are sampled in NDC).
    bounds: the same for each view. ndc: sample in normalised device coordinates (forward-facing).
    background: what the images were composited on (1 is white), None if they fill the frame.
    covered: where they then show anything at all.
    pixels: which files the pixels come from and how they were resized; part of a protocol.
    """

    name: str
    layout: str
    images: Float[np.ndarray, "views height width 3"]
    cameras: Cameras
    names: tuple[str, ...]
    splits: Mapping[str, Int[np.ndarray, " _"]]
    near: float
    far: float
    bounds: Float[np.ndarray, "views 2"]
    background: float | None
    ndc: bool
    linear_in_disparity: bool
    world_from_scene: similarity.Similarity
    pixels: str
    covered: Bool[np.ndarray, "views height width"] | None = None

    def __post_init__(self) -> None:
        of_views = (self.images, self.cameras, self.names, self.bounds, self.covered)
        if len({len(each) for each in of_views if each is not None}) != 1:
            raise InputError(f"{self.name}: images, cameras, names and bounds differ in number")
        for view, (near, far) in enumerate(self.bounds):
            if not 0 < near < far:
                raise InputError(
                    f"{self.name}: bounds of view {view} ({self.names[view]}): near {near:g} and "
                    f"far {far:g}; 0 < near < far is needed, estimate the poses again"
                )

    def only(self, split: str) -> Scene:
        """The scene reduced to the views of one split."""
        if split not in self.splits:
            known = ", ".join(sorted(self.splits))
            raise InputError(f"{self.name}: no split {split!r} was loaded; loaded: {known}")
        views = self.splits[split]
        return dataclasses.replace(
            self,
            images=self.images[views],
            cameras=self.cameras[views],
            names=tuple(self.names[view] for view in views),
            bounds=self.bounds[views],
            covered=None if self.covered is None else self.covered[views],
            splits={split: np.arange(len(views))},
        )


def load_scene(folder: Path, **options: Any) -> Scene:
    """Read a scene in either layout, found by its files; options go to the layout's loader."""
    folder = Path(folder)
    if (folder / "transforms_train.json").is_file():
        return load_blender(folder, **options)
    if (folder / "poses_bounds.npy").is_file():
        return load_llff(folder, **options)
    raise InputError(
        f"{folder}: neither transforms_train.json (Blender layout) nor poses_bounds.npy (LLFF "
        "layout) is there; estimate poses first, or choose another folder"
    )


def load_blender(
    folder: Path,
    *,
    splits: Sequence[str] = ("train", "test"),
    background: float | None = 1.0,
    downscale: int = 1,
    test_skip: int = 1,
    near: float | None = None,
    far: float | None = None,
) -> Scene:
    """Read the Blender layout (NeRF's synthetic scenes).

    RGBA is composited on `background` (white), then averaged over squares of `downscale` pixels;
    with None the images must be opaque. `test_skip`
    takes every such view of the splits other than train. Bounds: arguments, else keys `near` and
    `far` of the file, else 2 and 6 (run_nerf.py).
    """
    folder = Path(folder)
    files = {split: folder / f"transforms_{split}.json" for split in splits}
    frames = {
        split: read_frames(file, skip=1 if split == "train" else test_skip)
        for split, file in files.items()
    }
    paths = [path for split in splits for path in frames[split][0]]
    views = read_views(paths, background=background, shrink=downscale)
    poses = np.concatenate([frames[split][1] for split in splits])
    first = read_json(files[splits[0]])
    intrinsics = intrinsics_of(files[splits[0]], first, paths[0])
    # A camera file may name images elsewhere, by absolute paths.
    below = [path.relative_to(folder) if path.is_relative_to(folder) else path for path in paths]
    near = bound_of(files[splits[0]], first, "near", 2.0) if near is None else near
    far = bound_of(files[splits[0]], first, "far", 6.0) if far is None else far
    return Scene(
        name=folder.name,
        layout="blender",
        images=views.images,
        covered=views.covered,
        cameras=Cameras(poses, intrinsics.shrunk(downscale)),
        names=tuple(path.as_posix() for path in below),
        splits=_consecutive({split: len(frames[split][0]) for split in splits}),
        near=near,
        far=far,
        bounds=np.tile([[near, far]], (len(paths), 1)),
        background=background,
        ndc=False,
        linear_in_disparity=False,
        world_from_scene=similarity.Similarity.identity(),
        pixels="as stored" if downscale == 1 else f"area mean by {downscale} after compositing",
    )


def _consecutive(counts: Mapping[str, int]) -> dict[str, Int[np.ndarray, " _"]]:
    """Indices of splits whose views follow one another."""
    ends = np.cumsum(list(counts.values()))
    return {
        split: np.arange(end - count, end)
        for (split, count), end in zip(counts.items(), ends, strict=True)
    }


def load_llff(
    folder: Path,
    *,
    factor: int = 4,
    hold_every: int = HOLD_EVERY,
    bounds_factor: float = similarity.BOUNDS_FACTOR,
    spherify: bool | None = None,
) -> Scene:
    """Read the LLFF layout (NeRF's real scenes; a folder that pose estimation wrote).

    `factor` 4 is the paper's: `images_4` as shipped, or `images` averaged over squares. The world
    is scaled so that the nearest bound is 1 / `bounds_factor`, and recentred; captures that
    surround something are spherified instead of sampled in NDC (None: by the cameras' spread of
    viewing directions). As in load_llff.py.
    """
    folder = Path(folder)
    paths, shrink = _llff_images(folder, factor)
    poses, stored, bounds = _read_poses_bounds(folder, paths)
    images = read_views(paths, background=None, shrink=shrink).images
    intrinsics = _intrinsics_of_images(folder / "poses_bounds.npy", stored, paths[0])
    cameras, scaled = similarity.scaled_by_bounds(
        Cameras(poses, intrinsics.shrunk(shrink)), float(bounds.min()), bounds_factor
    )
    surrounding = not similarity.is_forward_facing(cameras) if spherify is None else spherify
    normalise = similarity.spherified if surrounding else similarity.recentred
    cameras, moved = normalise(cameras)
    change = moved.after(scaled)
    bounds = bounds * change.scale
    views = np.arange(len(images))
    held = views % hold_every == 0
    return Scene(
        name=folder.name,
        layout="llff",
        images=images,
        cameras=cameras,
        names=tuple(path.name for path in paths),
        splits={"train": views[~held], "test": views[held]},
        near=float(bounds.min()) * 0.9,  # run_nerf.py, for scenes without NDC
        far=float(bounds.max()),
        bounds=bounds,
        background=None,
        ndc=not surrounding,
        linear_in_disparity=surrounding,
        world_from_scene=change.inverse(),
        pixels=paths[0].parent.name + ("" if shrink == 1 else f", area mean by {shrink}"),
    )


def read_llff_cameras(folder: Path) -> tuple[Cameras, Float[np.ndarray, "views 2"]]:
    """Cameras (of the full image size) and bounds as the files have them; no image is opened."""
    folders = sorted(path.name for path in Path(folder).glob("images*"))
    factors = [name.removeprefix("images").removeprefix("_") or "1" for name in folders]
    found = [int(factor) for factor in factors if factor.isdecimal()]
    paths, _ = _llff_images(Path(folder), min(found, default=1))
    poses, stored, bounds = _read_poses_bounds(Path(folder), paths)
    return Cameras(poses, stored), bounds


def _llff_images(folder: Path, factor: int) -> tuple[list[Path], int]:
    """The image files in sorted order, and by how much they are still to be shrunk."""
    ready = folder / ("images" if factor == 1 else f"images_{factor}")
    source, shrink = (ready, 1) if ready.is_dir() else (folder / "images", factor)
    if not source.is_dir():
        raise InputError(f"{folder}: neither {ready.name} nor images is there; factor {factor}?")
    # Plain sorting, not numerical: the rows of poses_bounds.npy were written in this order.
    paths = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"{source}: holds no PNG or JPEG image")
    return paths, shrink


def _read_poses_bounds(
    folder: Path, paths: list[Path]
) -> tuple[Float[np.ndarray, "views 4 4"], Intrinsics, Float[np.ndarray, "views 2"]]:
    """Checked poses, the camera as stored, and bounds of each view."""
    file = folder / "poses_bounds.npy"
    rows = _read_array(file)
    if rows.ndim != 2 or rows.shape[1] not in (14, 17):
        raise InputError(f"{file}: shape {rows.shape}, expected one row of 17 numbers a view")
    if len(rows) != len(paths):
        raise InputError(
            f"{file}: holds {len(rows)} poses, but {paths[0].parent.name} holds {len(paths)} "
            "images; remove the images without a pose, or estimate the poses again"
        )
    rows, stored = _with_camera(rows, folder / "hwf_cxcy.npy")
    poses, size_and_focal, bounds = opencv_from_llff(rows)
    check_poses(poses, [path.name for path in paths], str(file))
    if np.ptp(size_and_focal, axis=0).max() > 0.01 * size_and_focal[0, 2]:
        raise InputError(f"{file}: the views differ in size or focal length; use one camera")
    for index, (near, far) in enumerate(bounds):
        if not 0 < near < far:
            raise InputError(
                f"{file}: pose {index} ({paths[index].name}) has near bound {near:g} and far "
                f"bound {far:g}; 0 < near < far is needed, estimate the poses again"
            )
    return poses, stored, bounds


def _read_array(file: Path) -> np.ndarray:
    try:
        array = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file; estimate poses first") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{file}: not a plain NumPy array ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise InputError(f"{file}: not a NumPy array of numbers")
    return array.astype(np.float64)


def _with_camera(
    rows: Float[np.ndarray, "views numbers"], measured: Path
) -> tuple[Float[np.ndarray, "views 17"], Intrinsics]:
    """Complete rows and the camera; rows of 14 numbers (NeX's Shiny) have it in a file apart."""
    if rows.shape[1] == 17:
        height, width, focal = rows[0, 4:15:5].tolist()
        return rows, Intrinsics.centred(round(width), round(height), focal)
    camera = _read_array(measured).ravel().tolist()
    if len(camera) != 6:
        raise InputError(f"{measured}: {len(camera)} numbers, expected h, w, fx, fy, cx, cy")
    height, width, *pinhole = camera
    column = np.broadcast_to(np.array(camera[:3])[:, None], (len(rows), 3, 1))
    matrices = np.concatenate([rows[:, :12].reshape(-1, 3, 4), column], axis=2)
    complete = np.concatenate([matrices.reshape(-1, 15), rows[:, 12:]], axis=1)
    return complete, Intrinsics(round(width), round(height), *pinhole)


def _intrinsics_of_images(file: Path, stored: Intrinsics, image: Path) -> Intrinsics:
    """The stored camera, for images of the size on disk."""
    width, height, _ = size_and_alpha(image)
    if abs(stored.height / stored.width * width / height - 1) > 0.02:
        made = f"made for {stored.width} x {stored.height} pixels, not {width} x {height}"
        raise InputError(f"{file}: {made}; they are not the same pictures")
    return stored.resized(width, height)
