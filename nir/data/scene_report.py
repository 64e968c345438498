"""Scene reports: what a scene is like and what is wrong with it, before anything is trained.

Lengths are in the units of the scene's files. Photos are judged against the median of their scene:
*sharpness* is the energy of the Laplacian over that of the image, *exposure* the mean luminance in
stops (powers of two).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from nir.data.scene_images import area_mean, size_and_alpha
from nir.data.scenes import (
    IMAGE_SUFFIXES,
    Scene,
    load_blender,
    load_llff,
    load_scene,
    read_llff_cameras,
)
from nir.errors import InputError
from nir.geometry import similarity
from nir.geometry.cameras import Cameras

BLURRED_BELOW = 0.4
"""Sharpness, as a share of the scene's median, below which a photo counts as blurred."""

EXPOSURE_STOPS = 0.5
SAME_PICTURE = 0.004
"""Root mean square difference of small grey versions below which two photos are the same."""

EXAMINED_WIDTH = 400


@dataclass(frozen=True, kw_only=True)
class SceneReport:
    """What was found; names are those of the images' files, width and height as examined."""

    name: str
    layout: str
    views: int
    width: int
    height: int
    forward_facing: bool
    ndc: bool
    near: float
    far: float
    viewing_spread_degrees: float
    blurred: tuple[str, ...]
    duplicates: tuple[tuple[str, str], ...]
    exposure_jumps: tuple[tuple[str, float], ...]

    @property
    def plane_range(self) -> tuple[float, float]:
        """Depths of the nearest and the farthest plane for NeX: the bounds of all views."""
        return self.near, self.far

    def sentences(self) -> tuple[str, ...]:
        """The report for a person, one finding a line."""
        facing = "forward-facing" if self.forward_facing else "360 degrees"
        how = "rays are sampled in NDC" if self.ndc else "rays are sampled between the bounds"
        lines = [
            f"{self.name}: {self.layout} layout, {self.views} views, "
            f"examined at {self.width} x {self.height}",
            f"{facing} (viewing directions spread by {self.viewing_spread_degrees:.0f} degrees); "
            + how,
            f"depth from {self.near:.4g} to {self.far:.4g} (ratio {self.far / self.near:.1f})",
        ]
        if self.forward_facing:
            near, far = self.plane_range
            lines.append(f"planes for NeX: depths {near:.4g} to {far:.4g}")
        lines += [f"{name}: blurred, leave it out or take it again" for name in self.blurred]
        lines += [f"{one} and {other}: the same picture" for one, other in self.duplicates]
        lines += [
            f"{name}: {abs(stops):.1f} stops {'brighter' if stops > 0 else 'darker'} than most; "
            "fix the exposure while photographing"
            for name, stops in self.exposure_jumps
        ]
        if not (self.blurred or self.duplicates or self.exposure_jumps):
            judged = (
                "blurred, doubled or unevenly exposed"
                if self.forward_facing
                else ("blurred or doubled")
            )
            lines.append(f"no {judged} photo")
        if not self.forward_facing:
            lines.append("exposure is not judged: each photo shows another side")
        return tuple(lines)


def examine_scene(folder: Path) -> SceneReport:
    """Read a scene's cameras and small versions of its images, and report."""
    scene = _load_small(Path(folder))
    size = scene.cameras.intrinsics
    to_files = scene.world_from_scene.scale
    grey = scene.images.mean(axis=3, dtype=np.float64)
    # Exposure means something where every photo shows the same; an orbit shows all sides.
    forward = similarity.is_forward_facing(scene.cameras)
    return SceneReport(
        name=scene.name,
        layout=scene.layout,
        views=len(scene.images),
        width=size.width,
        height=size.height,
        forward_facing=forward,
        ndc=scene.ndc,
        near=float(scene.bounds[:, 0].min()) * to_files,
        far=float(scene.bounds[:, 1].max()) * to_files,
        viewing_spread_degrees=similarity.view_angle_spread(scene.cameras),
        blurred=tuple(scene.names[view] for view in _blurred(grey)),
        duplicates=tuple((scene.names[i], scene.names[j]) for i, j in _duplicates(grey)),
        exposure_jumps=tuple(
            (scene.names[view], stops) for view, stops in (_exposure_jumps(grey) if forward else ())
        ),
    )


def compare_cameras(folder: Path, reference: Path) -> tuple[str, ...]:
    """How far a scene's cameras are from those of another scene of the same photos, in words.

    Views are matched in the order of their images' names; a similarity is removed first, since
    photos tell neither scale nor place.
    """
    found, known = (_cameras_of(Path(scene)) for scene in (folder, reference))
    if len(found) != len(known):
        raise InputError(
            f"{reference}: has {len(known)} cameras and {folder} {len(found)}; only scenes of the "
            "same photos can be compared"
        )
    return similarity.pose_errors(found, known).sentences()


def _cameras_of(folder: Path) -> Cameras:
    if (folder / "poses_bounds.npy").is_file():
        return read_llff_cameras(folder)[0]
    return _load_small(folder).cameras


def _load_small(folder: Path) -> Scene:
    """The scene with images of about EXAMINED_WIDTH pixels: enough to judge, quick to read."""
    if (folder / "transforms_train.json").is_file():
        return _load_small_blender(folder)
    if not (folder / "poses_bounds.npy").is_file():
        return load_scene(folder)  # the error that says what a scene is
    return load_llff(folder, factor=_factor_to_examine(folder))


def _load_small_blender(folder: Path) -> Scene:
    scene_width, _, has_alpha = size_and_alpha(_first_image(folder / "train"))
    return load_blender(
        folder,
        splits=("train",),
        background=1.0 if has_alpha else None,
        downscale=max(1, scene_width // EXAMINED_WIDTH),
    )


def _factor_to_examine(folder: Path) -> int:
    """Of the sizes that are there the largest that is small enough, else a shrunk `images`."""
    names = [path.name.removeprefix("images_") for path in folder.glob("images_*")]
    factors = sorted(int(name) for name in names if name.isdecimal())
    for factor in factors:
        if size_and_alpha(_first_image(folder / f"images_{factor}"))[0] <= 2 * EXAMINED_WIDTH:
            return factor
    if (folder / "images").is_dir():
        return max(1, size_and_alpha(_first_image(folder / "images"))[0] // EXAMINED_WIDTH)
    return factors[-1] if factors else 1


def _first_image(folder: Path) -> Path:
    images = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in images:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return path
    raise InputError(f"{folder}: holds no PNG or JPEG image")


def _blurred(grey: Float[np.ndarray, "views height width"]) -> list[int]:
    """Views whose fine detail is far below that of the others."""
    sharpness = np.array([_sharpness(image) for image in grey])
    return np.flatnonzero(sharpness < BLURRED_BELOW * np.median(sharpness)).tolist()


def _sharpness(image: Float[np.ndarray, "height width"]) -> float:
    contrast = float(image.var())
    return float(ndimage.laplace(image).var()) / contrast if contrast > 0 else 0.0


def _duplicates(grey: Float[np.ndarray, "views height width"]) -> list[tuple[int, int]]:
    """Pairs of views that show the same, by their versions of about 48 pixels."""
    step = max(1, min(grey.shape[1:]) // 48)
    small = np.stack([area_mean(image[..., None], step)[..., 0].ravel() for image in grey])
    squared = (small**2).mean(axis=1)
    difference = squared[:, None] + squared[None] - 2 * (small @ small.T) / small.shape[1]
    first, second = np.nonzero(np.triu(difference < SAME_PICTURE**2, k=1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _exposure_jumps(grey: Float[np.ndarray, "views height width"]) -> list[tuple[int, float]]:
    """Views whose mean luminance is off the median's, with the difference in stops."""
    # Stored values are close to the 2.2th root of luminance.
    luminance = np.maximum((grey**2.2).mean(axis=(1, 2)), 1e-6)
    stops = np.log2(luminance / np.median(luminance))
    return [(int(view), float(stops[view])) for view in np.flatnonzero(abs(stops) > EXPOSURE_STOPS)]
