"""A baked folder: what any static web server can serve, and what can be read back.

scene.json describes; textures are raw numbers (little endian, first row first) packed with gzip, so
that no image decoder stands between that multiplies by alpha or manages colours. Lengths and poses
are in the reference camera's axes; a pose is 16 numbers, row after row.
"""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nir.errors import InputError
from nir.files import folder_written_whole, read_json
from nir.geometry.cameras import Cameras, Intrinsics
from nir.operators.planes import PlaneStack
from nir.viewers.planes.baked import BakedPlanes, BasisTable
from nir.viewers.planes.rendering import BakedRenderer
from nir.viewers.planes.views import ViewingRange

FORMAT, VERSION = "nir baked planes", 2
SCENE, STILL = "scene.json", "still.png"
PAGE = Path(__file__).resolve().parent / "page"
ARRAYS = ("alpha", "base", "coefficients")


def write_baked(baked: BakedPlanes, folder: Path, *, name: str) -> int:
    """Write the page with its data, whole or not at all; returns the bytes on disk.

    name: of the scene, for people.
    """
    with folder_written_whole(folder) as temporary:
        for file in sorted(PAGE.iterdir()):
            shutil.copyfile(file, temporary / file.name)
        scene = {"format": FORMAT, "version": VERSION, "name": name, **_description(baked)}
        scene |= _write_textures(baked, temporary)
        _write_still(baked, temporary / STILL)
        (temporary / SCENE).write_text(json.dumps(scene, allow_nan=False), encoding="utf-8")
        return sum(file.stat().st_size for file in temporary.iterdir())


def _write_still(baked: BakedPlanes, path: Path) -> None:
    """The reference view, for pages that show what the viewer would."""
    renderer = BakedRenderer(baked, device="cpu")
    picture = renderer.render(baked.stack.camera_to_world, baked.views.intrinsics)
    Image.fromarray((picture.numpy() * 255).round().astype(np.uint8)).save(path)


def _description(baked: BakedPlanes) -> dict[str, Any]:
    image, planes = baked.views.intrinsics, baked.stack.intrinsics
    return {
        "image": {"width": image.width, "height": image.height, "lens": _lens(image)},
        "stack": {
            "width": planes.width,
            "height": planes.height,
            "lens": _lens(planes),
            "camera_to_world": baked.stack.camera_to_world.ravel().tolist(),
            "margin": baked.stack.margin,
            "depths": baked.stack.depths.tolist(),
            "planes_per_group": baked.stack.planes_per_group,
        },
        "kept": baked.kept.tolist(),
        "depths": baked.depths.tolist(),
        "first_depths": baked.first_depths.tolist(),
        "groups": baked.groups.tolist(),
        "tile": baked.tile,
        "views": _views(baked),
        "texture_bytes": baked.texture_bytes,
        "plain_bytes": baked.plain_bytes,
    }


def _lens(camera: Intrinsics) -> list[float]:
    return [camera.focal_x, camera.focal_y, camera.centre_x, camera.centre_y]


def _views(baked: BakedPlanes) -> dict[str, Any]:
    to_reference = baked.stack.world_to_camera
    allowed = ViewingRange.of(baked.stack, baked.views)
    return {
        "baked_for": _as_rows(to_reference @ baked.views.camera_to_world),
        "centre": allowed.centre.tolist(),
        "focus": allowed.focus.tolist(),
        "reach": allowed.reach.tolist(),
        "path": _as_rows(allowed.path),
    }


def _as_rows(poses: np.ndarray) -> list[list[float]]:
    return poses.reshape(-1, 16).tolist()


def _write_textures(baked: BakedPlanes, folder: Path) -> dict[str, Any]:
    pages = {
        "alpha": baked.alpha_pages,
        "base": baked.base_pages,
        "coefficients": baked.coefficient_pages,
    }
    described: dict[str, Any] = {}
    for name, array in pages.items():
        height, width = array.shape[2:4] if name == "coefficients" else array.shape[1:3]
        files = [
            _write_numbers(folder / f"{name}-{number}.bytes", page)
            for number, page in enumerate(array)
        ]
        described[name] = {"width": width, "height": height, "files": files}
    described["coefficients"] |= {
        "layers": baked.coefficient_pages.shape[1],
        "scales": baked.coefficient_scales.tolist(),
        "shrink": baked.coefficient_shrink,
        "tiles": _write_tiles(folder / "coefficient-tiles.bytes", baked.coefficient_tiles),
    }
    described["tiles"] = _write_tiles(folder / "tiles.bytes", baked.tiles)
    table = baked.basis_table
    described["basis"] = {
        "count": baked.basis,
        "mixing": baked.mixing.tolist(),
        "width": table.levels.shape[2],
        "height": table.levels.shape[1],
        "low": table.low.tolist(),
        "high": table.high.tolist(),
        "limits": list(table.limits),
        "file": _write_numbers(folder / "basis.bytes", table.levels),
    }
    return described


def _write_tiles(path: Path, tiles: np.ndarray) -> dict[str, Any]:
    count, rows, columns = tiles.shape[:3]
    file = _write_numbers(path, tiles)
    return {"width": columns, "height": rows, "count": count, "file": file}


def _write_numbers(path: Path, array: np.ndarray) -> dict[str, Any]:
    little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    content = gzip.compress(little_endian.tobytes(), compresslevel=6, mtime=0)
    path.write_bytes(content)
    return {"name": path.name, "bytes": len(content), "unpacked": little_endian.nbytes}


def read_baked(folder: Path) -> BakedPlanes:
    """Read a baked folder back; what is missing or damaged is an `InputError`."""
    scene = read_json(folder / SCENE)
    if scene.get("format") != FORMAT or scene.get("version") != VERSION:
        raise InputError(f"{folder / SCENE}: of another version; bake the run again")
    image, planes, coefficients = scene["image"], scene["stack"], scene["coefficients"]
    stack = PlaneStack(
        camera_to_world=np.array(planes["camera_to_world"]).reshape(4, 4),
        intrinsics=Intrinsics(planes["width"], planes["height"], *planes["lens"]),
        margin=planes["margin"],
        depths=np.array(planes["depths"]),
        planes_per_group=planes["planes_per_group"],
    )
    views = stack.camera_to_world @ np.array(scene["views"]["baked_for"]).reshape(-1, 4, 4)
    return BakedPlanes(
        stack=stack,
        kept=np.array(scene["kept"], dtype=np.int64),
        tile=scene["tile"],
        tiles=_read_tiles(folder, scene["tiles"], 2),
        coefficient_tiles=_read_tiles(folder, coefficients["tiles"]),
        coefficient_shrink=coefficients["shrink"],
        mixing=_read_mixing(scene["basis"]),
        coefficient_scales=np.array(coefficients["scales"], dtype=np.float64),
        basis_table=_read_basis(scene["basis"], folder),
        plain_bytes=scene["plain_bytes"],
        views=Cameras(views, Intrinsics(image["width"], image["height"], *image["lens"])),
        **_read_pages(scene, folder),
    )


def _read_pages(scene: dict[str, Any], folder: Path) -> dict[str, np.ndarray]:
    pages = {}
    for name in ARRAYS:
        about = scene[name]
        size = (about["height"], about["width"])
        shape = {"alpha": size, "base": (*size, 3)}.get(name, (about.get("layers"), *size, 4))
        read = [_read_numbers(folder, file, "u1", shape) for file in about["files"]]
        pages[f"{name.removesuffix('s')}_pages"] = np.stack(read)
    return pages


def _read_tiles(folder: Path, about: dict[str, Any], *channels: int) -> np.ndarray:
    shape = (about["count"], about["height"], about["width"], *channels)
    return _read_numbers(folder, about["file"], "<u4", shape)


def _read_mixing(about: dict[str, Any]) -> np.ndarray:
    rows = about["mixing"]
    return np.array(rows, dtype=np.float64).reshape(len(rows), about["count"])


def _read_basis(about: dict[str, Any], folder: Path) -> BasisTable:
    shape = (about["count"], about["height"], about["width"])
    return BasisTable(
        levels=_read_numbers(folder, about["file"], "u1", shape),
        low=np.array(about["low"], dtype=np.float64),
        high=np.array(about["high"], dtype=np.float64),
        limits=tuple(about["limits"]),
    )


def _read_numbers(
    folder: Path, file: dict[str, Any], kind: str, shape: tuple[int, ...]
) -> np.ndarray:
    path = folder / Path(file["name"]).name
    try:
        content = gzip.decompress(path.read_bytes())
        numbers = np.frombuffer(content, dtype=kind) if content else np.empty(0, dtype=kind)
        return numbers.reshape(shape).copy()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; bake the run again") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: damaged ({error}); bake the run again") from error
