"""Poses from photos: a folder of pictures becomes a scene in the LLFF layout.

The scene folder holds `images` (undistorted PNG) and `images_{factor}`, `poses_bounds.npy`,
`transforms.json` (the same cameras, OpenGL axes), `points.ply` (the sparse points, coloured) and
`capture.json`, which tells what was registered and what was not, and why. Lengths are in units of
the reconstruction, whose scale is arbitrary.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, UInt8

from nir.data.images import read_image, to_8bit, write_png
from nir.data.photos import PhotoSet, prepare_photos
from nir.data.scene_images import area_mean
from nir.data.structure_from_motion import EXHAUSTIVE_AT_MOST, Mapping, Say, map_photos
from nir.errors import InputError
from nir.files import folder_written_whole, remove_leftovers, write_json
from nir.geometry.cameras import (
    Cameras,
    Intrinsics,
    as_square,
    llff_from_opencv,
    opengl_from_opencv,
)

LEAST_SHARE = 0.7
"""Share of the photos that must find a pose; with fewer, the capture has a gap."""

BOUNDS_PERCENTILES = (0.1, 99.9)
"""Of the depths of the points that a view sees (LLFF's imgs2poses), strays left out before."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Cameras of the registered photos, in the order of their names, and the sparse points."""

    cameras: Cameras
    names: tuple[str, ...]
    bounds: Float[np.ndarray, "views 2"]
    points: Float[np.ndarray, "points 3"]
    colours: UInt8[np.ndarray, "points 3"]
    unregistered: dict[str, str]
    reprojection_error_pixels: float


def estimate_poses(
    photos: Path,
    out: Path,
    *,
    seed: int = 0,
    longer_side: int = 1600,
    factors: Sequence[int] | None = None,
    least_share: float = LEAST_SHARE,
    exhaustive_at_most: int = EXHAUSTIVE_AT_MOST,
    threads: int = 0,
    say: Say | None = None,
) -> Capture:
    """Estimate the cameras of a folder of photos and write the scene folder `out`, whole.

    longer_side: photos are shrunk to this many pixels for finding features. factors: which
    `images_{factor}` to write; by default 1, 2, 4 and 8 while a side keeps 64 pixels.
    exhaustive_at_most: more photos are matched with their neighbours by name alone. threads: 0 is
    all cores. say: takes progress, line by line (default: the terminal).

    Fewer registered than `least_share` of the photos is an `InputError` that says what to
    photograph differently. The same photos and seed give the same bytes.
    """
    photos, out, say = Path(photos), Path(out), say or _say_to_terminal
    _require_replaceable(out)
    with tempfile.TemporaryDirectory(prefix="nir-poses-") as name:
        scratch = Path(name)
        prepared = prepare_photos(photos, scratch / "photos")
        say(f"{photos}: {len(prepared.names)} photos, {prepared.width} x {prepared.height}")
        mapping = map_photos(
            prepared,
            scratch,
            seed=seed,
            longer_side=longer_side,
            exhaustive_at_most=exhaustive_at_most,
            threads=threads,
            say=say,
        )
        unregistered = _unregistered(prepared, mapping)
        _require_enough(photos, prepared, mapping, unregistered, least_share)
        capture = _write_scene(prepared, mapping, unregistered, out, scratch, factors)
    near, far = capture.bounds[:, 0].min(), capture.bounds[:, 1].max()
    say(f"{out}: {len(capture.names)} views, depth {near:.3g} to {far:.3g}")
    for source, reason in capture.unregistered.items():
        say(f"not registered: {source}: {reason}")
    return capture


def _say_to_terminal(line: str) -> None:
    print(f"[poses] {line}", file=sys.stderr, flush=True)


def _unregistered(photos: PhotoSet, mapping: Mapping) -> dict[str, str]:
    """Reasons by the photos' own file names."""
    sources = {name: source.name for name, source in zip(photos.names, photos.sources, strict=True)}
    missing = {sources[name]: reason for name, reason in mapping.missing.items()}
    return dict(sorted({**photos.set_aside, **missing}.items()))


def _require_enough(
    photos: Path,
    prepared: PhotoSet,
    mapping: Mapping,
    unregistered: dict[str, str],
    least_share: float,
) -> None:
    total = len(prepared.names) + len(prepared.set_aside)
    registered = 0 if mapping.model is None else mapping.model.num_reg_images()
    if registered >= max(3, least_share * total):
        return
    examples = "; ".join(f"{name}: {reason}" for name, reason in list(unregistered.items())[:3])
    raise InputError(
        f"{photos}: only {registered} of {total} photos found a pose ({least_share:.0%} are "
        "needed); photograph again with each part in three photos or more, moving sideways by a "
        f"tenth of the distance between shots, in even light, sharp, without zooming ({examples})"
    )


def _write_scene(
    photos: PhotoSet,
    mapping: Mapping,
    unregistered: dict[str, str],
    out: Path,
    scratch: Path,
    factors: Sequence[int] | None,
) -> Capture:
    images = _registered_images(mapping.model)
    remove_leftovers(out)
    with folder_written_whole(out) as staging:
        intrinsics = _write_images(images, photos.folder, mapping.model, staging, factors)
        capture = _capture(mapping.model, images, intrinsics, unregistered)
        _write_cameras(staging, capture)
        cloud = trimesh.PointCloud(capture.points, colors=capture.colours)
        (staging / "points.ply").write_bytes(cloud.export(file_type="ply"))
        write_json(staging / "capture.json", _record(capture, photos, mapping))
    return capture


def _require_replaceable(out: Path) -> None:
    """An earlier scene of photos may be replaced; nothing else is ever removed."""
    if out.exists() and not (out / "capture.json").is_file() and any(out.iterdir()):
        raise InputError(f"{out}: holds something else than a scene of photos; name a new folder")


def _registered_images(model: Any) -> list[Any]:
    return sorted((model.image(i) for i in model.reg_image_ids()), key=lambda image: image.name)


def _write_images(
    images: list[Any], folder: Path, model: Any, out: Path, factors: Sequence[int] | None
) -> Intrinsics:
    """Undistort the registered photos one at a time, in all sizes; return the pinhole camera."""
    import pycolmap

    options = pycolmap.UndistortCameraOptions()
    camera = model.cameras[images[0].camera_id]
    for image in images:
        pixels = to_8bit(read_image(folder / image.name))
        bitmap = pycolmap.Bitmap.from_array(np.ascontiguousarray(pixels))
        straight, pinhole = pycolmap.undistort_image(options, bitmap, camera)
        view = straight.to_array().astype(np.float32) / 255
        for factor in factors or _useful_factors(view.shape):
            target = out / ("images" if factor == 1 else f"images_{factor}")
            write_png(target / image.name, area_mean(view, factor))
    # The layout knows square pixels and a centred image; undistortion keeps both but for rounding.
    return Intrinsics.centred(pinhole.width, pinhole.height, pinhole.mean_focal_length())


def _useful_factors(shape: tuple[int, ...]) -> list[int]:
    return [factor for factor in (1, 2, 4, 8) if factor == 1 or min(shape[:2]) // factor >= 64]


def _capture(
    model: Any, images: list[Any], intrinsics: Intrinsics, unregistered: dict[str, str]
) -> Capture:
    to_camera = as_square(np.stack([image.cam_from_world().matrix() for image in images]))
    cameras = Cameras(_inverse(to_camera), intrinsics)
    ids = sorted(model.point3D_ids())
    places = np.array([model.point3D(i).xyz for i in ids])
    colours = np.array([model.point3D(i).color for i in ids], dtype=np.uint8)
    steady = _steady_points(model, ids)
    index = {point: row for row, point in enumerate(ids)}
    bounds = np.array(
        [
            _bounds_of_view(pose, image, places, steady, index)
            for pose, image in zip(to_camera, images, strict=True)
        ]
    )
    return Capture(
        cameras=cameras,
        names=tuple(image.name for image in images),
        bounds=bounds,
        points=places,
        colours=colours,
        unregistered=unregistered,
        reprojection_error_pixels=float(model.compute_mean_reprojection_error()),
    )


def _inverse(to_camera: Float[np.ndarray, "views 4 4"]) -> Float[np.ndarray, "views 4 4"]:
    """Exactly orthogonal inverses of rigid motions."""
    rotation = np.swapaxes(to_camera[:, :3, :3], 1, 2)
    position = -(rotation @ to_camera[:, :3, 3:])
    return as_square(np.concatenate([rotation, position], axis=2))


def _steady_points(model: Any, ids: list[int]) -> np.ndarray:
    """Points seen by three views or more with less than two pixels of error: strays are neither."""
    lengths = np.array([model.point3D(i).track.length() for i in ids])
    errors = np.array([model.point3D(i).error for i in ids])
    steady = (lengths >= 3) & (errors < 2)
    return steady if steady.sum() >= 50 else np.ones(len(ids), dtype=bool)


def _bounds_of_view(
    to_camera: np.ndarray,
    image: Any,
    places: np.ndarray,
    steady: np.ndarray,
    index: dict[int, int],
) -> tuple[float, float]:
    """Robust near and far depth of the points that a view sees."""
    rows = [index[p.point3D_id] for p in image.points2D if p.has_point3D()]
    chosen = [row for row in rows if steady[row]] or rows
    depths = places[chosen] @ to_camera[2, :3] + to_camera[2, 3]
    near, far = np.percentile(depths[depths > 0], BOUNDS_PERCENTILES)
    return float(near), float(far)


def _write_cameras(out: Path, capture: Capture) -> None:
    cameras = capture.cameras
    rows = llff_from_opencv(cameras.camera_to_world, cameras.intrinsics, capture.bounds)
    np.save(out / "poses_bounds.npy", rows, allow_pickle=False)
    intrinsics = cameras.intrinsics
    frames = [
        {"file_path": f"images/{name}", "transform_matrix": matrix.tolist()}
        for name, matrix in zip(
            capture.names, opengl_from_opencv(cameras.camera_to_world), strict=True
        )
    ]
    write_json(
        out / "transforms.json",
        {
            "camera_model": "PINHOLE",
            "fl_x": intrinsics.focal_x,
            "fl_y": intrinsics.focal_y,
            "cx": intrinsics.centre_x,
            "cy": intrinsics.centre_y,
            "w": intrinsics.width,
            "h": intrinsics.height,
            "ply_file_path": "points.ply",
            "frames": frames,
        },
    )


def _record(capture: Capture, photos: PhotoSet, mapping: Mapping) -> dict[str, Any]:
    camera = next(iter(mapping.model.cameras.values()))
    return {
        "registered": list(capture.names),
        "unregistered": capture.unregistered,
        "matching": mapping.matching,
        "exif_focal_pixels": photos.exif_focal,
        "photo_size": [photos.width, photos.height],
        "distorted_camera": {"model": camera.model.name, "parameters": camera.params.tolist()},
        "points": len(capture.points),
        "reprojection_error_pixels": capture.reprojection_error_pixels,
        "near": float(capture.bounds[:, 0].min()),
        "far": float(capture.bounds[:, 1].max()),
    }
