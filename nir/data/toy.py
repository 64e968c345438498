"""Toy scenes on disk: made by the project itself, so that depth, mesh and every view are known.

`toy` comes in the Blender layout, `toy_forward` and `toy_shiny` in the LLFF layout;
`data.toy_worlds` says what is in them. Beside the layout's own files lie `mesh.ply` (the surfaces,
coloured, in the units of the files) and the truth of every view in `truth_{split}.npz` or
`truth.npz`: `depth` (along the camera's forward axis, infinite where nothing is) and `glossy` (what
looks different from elsewhere), both at pixel centres. The same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Bool, Float

from nir.data import toy_worlds
from nir.data.images import write_png
from nir.data.raytracing import GAMMA, View, World, picture_colour, render_view
from nir.data.scene_writers import write_blender_split, write_llff
from nir.data.scenes import HOLD_EVERY
from nir.errors import InputError, unknown_name
from nir.files import write_json, written_whole
from nir.geometry.cameras import Cameras


def generate_toy_scene(
    out: Path,
    layout: str,
    *,
    size: int = 100,
    train_views: int = 50,
    test_views: int = 8,
    validation_views: int = 0,
    samples: int = 3,
    seed: int = 0,
    factors: Sequence[int] = (1, 2),
) -> None:
    """Write a toy scene to the folder `out`.

    layout: `toy` (images size x size), `toy_forward` or `toy_shiny` (size x ¾ size).
    samples: rays a pixel along each side (antialiasing); also how fine the soft shadows are.
    seed: places of the training cameras. factors: folders `images_{factor}` of the latter,
    in which every 8th image tests, so that the numbers of views must agree.
    """
    if layout not in toy_worlds.LAYOUTS:
        raise unknown_name("toy layout", layout, toy_worlds.LAYOUTS)
    if size < 8 or samples < 1 or train_views < 1 or test_views < 1 or validation_views < 0:
        raise InputError(f"{layout}: size (8 or more), samples and numbers of views are too small")
    world = toy_worlds.toy_world_for(layout, size, samples=samples)
    out = Path(out)
    if layout == "toy":
        counts = {"val": validation_views, "test": test_views, "train": train_views}
        for split in (split for split, count in counts.items() if count):
            cameras = toy_worlds.toy_cameras(size, split, counts[split], seed=seed)
            _write_blender(out, split, world, cameras, samples)
    else:
        _check_held_out(train_views, test_views, validation_views)
        cameras = toy_worlds.toy_forward_cameras(size, train_views + test_views, seed=seed)
        _write_forward(out, world, cameras, samples, factors)
    write_mesh(out / "mesh.ply", mesh_of(world))
    write_json(out / "toy.json", {"layout": layout, "size": size, "samples": samples, "seed": seed})


def generate_toy_room(
    out: Path, *, size: int, train: Cameras, test: Cameras, samples: int = 2
) -> None:
    """Write the room of `toy_forward` from given places, in the Blender layout.

    Any places can train and test there, which LLFF's layout does not allow. size: the width that
    pictures in the room are made for; images have no alpha.
    """
    world = toy_worlds.toy_world_for("toy_forward", size, samples=samples)
    seen = {
        "test": _render_all(world, test, samples),
        "train": _render_all(world, train, samples),
    }
    depths = np.concatenate([view.depth[np.isfinite(view.depth)] for view in seen["train"]])
    bounds = {"near": 0.95 * float(depths.min()), "far": 1.05 * float(depths.max())}
    for split, cameras in (("test", test), ("train", train)):
        _write_truth(out / f"truth_{split}.npz", seen[split])
        rgb = np.stack([view.rgba[..., :3] for view in seen[split]])
        write_blender_split(out, split, rgb, cameras, **bounds)
    write_json(out / "toy.json", {"layout": "toy_room", "size": size, "samples": samples})


def generate_toy_photos(out: Path, *, size: int = 400, views: int = 16, seed: int = 0) -> None:
    """Write photos of the room of `toy_forward` to a folder, as a person would have them: no poses.

    size: their width in pixels; `toy_worlds.toy_forward_cameras(size, views, seed=seed)` is where
    they were taken from.
    """
    world = toy_worlds.toy_world_for("toy_forward", size, samples=2)
    cameras = toy_worlds.toy_forward_cameras(size, views, seed=seed)
    for view in range(views):
        rgba = render_view(world, cameras, view, samples=2).rgba
        write_png(Path(out) / f"photo_{view:02d}.png", rgba[..., :3])


def _check_held_out(train_views: int, test_views: int, validation_views: int) -> None:
    held = -(-(train_views + test_views) // HOLD_EVERY)
    if validation_views or held != test_views:
        raise InputError(
            f"toy_forward: of {train_views + test_views} views every {HOLD_EVERY}th tests, that is "
            f"{held} test views, not {test_views}, and none validates; change the numbers of views"
        )


def _write_blender(out: Path, split: str, world: World, cameras: Cameras, samples: int) -> None:
    views = _render_all(world, cameras, samples)
    _write_truth(out / f"truth_{split}.npz", views)
    rgba = np.stack([view.rgba for view in views])
    near, far = toy_worlds.BLENDER_NEAR, toy_worlds.BLENDER_FAR
    write_blender_split(out, split, rgba, cameras, near=near, far=far)


def _write_forward(
    out: Path, world: World, cameras: Cameras, samples: int, factors: Sequence[int]
) -> None:
    views = _render_all(world, cameras, samples)
    _write_truth(out / "truth.npz", views)
    bounds = np.array([[view.depth.min(), view.depth.max()] for view in views], dtype=np.float64)
    rgb = np.stack([view.rgba[..., :3] for view in views])
    write_llff(out, rgb, cameras, bounds, factors=factors)


def _render_all(world: World, cameras: Cameras, samples: int) -> list[View]:
    return [render_view(world, cameras, view, samples=samples) for view in range(len(cameras))]


def _write_truth(path: Path, views: Sequence[View]) -> None:
    depth = np.stack([view.depth for view in views]).astype(np.float32)
    glossy = np.stack([view.glossy for view in views])
    with written_whole(path) as temporary:
        np.savez_compressed(temporary, depth=depth, glossy=glossy)


def mesh_of(world: World) -> trimesh.Trimesh:
    """The surfaces of a world as one mesh, each vertex in the colour of the picture there."""
    parts = []
    for solid, material in zip(world.solids, world.materials, strict=True):
        mesh = solid.mesh()
        linear = picture_colour(solid, material, np.asarray(mesh.vertices, dtype=np.float64))
        mesh.visual.vertex_colors = np.rint(255 * np.clip(linear, 0, 1) ** (1 / GAMMA)).astype("u1")
        parts.append(mesh)
    return trimesh.util.concatenate(parts)


def write_mesh(path: Path, mesh: trimesh.Trimesh) -> None:
    """Write a mesh as binary PLY, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(mesh.export(file_type="ply"))


def read_truth(
    folder: Path, split: str | None = None
) -> tuple[Float[np.ndarray, "views height width"], Bool[np.ndarray, "views height width"]]:
    """True depth and glossy mask of a toy scene's views: of a split, or (LLFF layout) of all."""
    path = Path(folder) / ("truth.npz" if split is None else f"truth_{split}.npz")
    if not path.is_file():
        raise InputError(f"{path}: no such file; it belongs to toy scenes only")
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["depth"], arrays["glossy"]
