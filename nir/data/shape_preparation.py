"""Preparing shapes: from a surface to everything that networks of shapes are trained and tested on.

One shape becomes one `.npz`, whole or not at all; a folder of them with `collection.json` is a
collection (`shape_collections`). Keys, all in the unit cube of Occupancy Networks (the box centred
at 0, its longest edge 1) unless they say otherwise; bits are packed along the last axis:

    uniform_points [n 3], uniform_inside [n] bits     uniform in the cube of side 1.1
    near_points [n 3], near_inside [n] bits           surface points moved by N(0, 0.01²)
    surface_points [m 3], surface_normals [m 3]       uniform by area
    distance_points [k 3], distances [k]              DeepSDF's samples, in DeepSDF's unit sphere
    sphere_scale []                                   unit sphere = sphere_scale · unit cube
    voxels [32 32 32] bits                            centres of cells of the cube of side 1
    views [v s s 3] bytes, camera_to_world [v 4 4], focal []     (pixels)
    vertices [p 3], faces [f 3]                       the surface itself
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nir.data.mesh_layouts import MeshFolder, read_mesh_folder
from nir.data.shape_families import member
from nir.data.shape_sampling import distance_samples, occupancy_near_surface, occupancy_samples
from nir.data.shape_sets import ShapeSet
from nir.data.shape_views import cameras_around, rendered
from nir.data.shapes import Shape, normalised, read_shape, to_unit_sphere
from nir.errors import InputError
from nir.files import canonical_json, read_json, sha256_of_file, write_json, written_whole
from nir.random import seed_of

COLLECTION = "collection.json"
SCHEMA_VERSION = 1
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How much is drawn of each shape; defaults are the papers'."""

    occupancy_points: int = 100_000  # Occupancy Networks: scripts/sample_mesh.py; as many near
    surface_points: int = 100_000  # same file
    distance_points: int = 500_000  # DeepSDF: src/PreprocessMesh.cpp
    voxel_resolution: int = 32  # Occupancy Networks section 4
    views: int = 24  # Choy et al. 2016
    view_size: int = 137
    elevation_degrees: tuple[float, float] = (25.0, 30.0)
    near_deviation: float = 0.01


SMALL = Preparation(
    occupancy_points=8192, surface_points=8192, distance_points=16_384, views=4, view_size=64
)
TINY = Preparation(
    occupancy_points=512, surface_points=512, distance_points=1024, views=2, view_size=32
)


PREPARATIONS = {"paper": Preparation(), "small": SMALL, "tiny": TINY}


def prepared(shape: Shape, preparation: Preparation, *, seed: int) -> dict[str, np.ndarray]:
    """Everything about one shape, under the keys of this module's docstring; pure in `seed`."""
    shape, _ = normalised(shape, "unit_cube")
    draw = np.random.default_rng(seed)
    p = preparation
    uniform = occupancy_samples(shape, p.occupancy_points, draw)
    near = occupancy_near_surface(shape, p.occupancy_points, draw, deviation=p.near_deviation)
    points, normals = shape.sample(p.surface_points, draw)
    to_sphere = to_unit_sphere(shape.vertices)
    samples = distance_samples(shape.moved(to_sphere), p.distance_points, draw)
    cameras = cameras_around(p.views, p.view_size, draw, elevation=p.elevation_degrees)
    return {
        "uniform_points": uniform.points,
        "uniform_inside": np.packbits(uniform.inside),
        "near_points": near.points,
        "near_inside": np.packbits(near.inside),
        "surface_points": points.astype(np.float32),
        "surface_normals": normals.astype(np.float32),
        "distance_points": samples.points,
        "distances": samples.distances,
        "sphere_scale": np.float64(to_sphere.scale),
        "voxels": np.packbits(voxels_of(shape, p.voxel_resolution), axis=-1),
        "views": rendered(shape.vertices, shape.faces, cameras),
        "camera_to_world": cameras.camera_to_world,
        "focal": np.float64(cameras.intrinsics.focal_x),
        "vertices": shape.vertices.astype(np.float32),
        "faces": shape.faces.astype(np.int32),
    }


def voxels_of(shape: Shape, resolution: int) -> np.ndarray:
    """Which cells' centres, of the cube of side 1, lie inside: [x y z]."""
    axis = (np.arange(resolution) + 0.5) / resolution - 0.5
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return shape.is_inside(centres).reshape((resolution,) * 3)


def write_families(folder: Path, chosen: ShapeSet) -> None:
    """Write a collection of generated shapes, each family's members counted through its splits."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    preparation = PREPARATIONS[chosen.preparation]
    counts = (chosen.train, chosen.val, chosen.test)
    for family in chosen.families:
        members = itertools.count()
        for split, count in zip(SPLITS, counts, strict=True):
            for number in itertools.islice(members, count):
                name = f"{family}/{number:04d}"
                shape = member(family, number).shape()
                arrays = prepared(shape, preparation, seed=seed_of("prepared", name))
                _write_shape(shape_path(folder, name), arrays, stamp="generated")
                splits[split].append(name)
    _write_index(folder, splits, preparation, left_out={})


def shape_path(folder: Path, name: str) -> Path:
    """Where a collection keeps a shape."""
    return folder / "shapes" / f"{name}.npz"


def prepare_folder(
    folder: Path,
    out: Path,
    preparation: Preparation,
    *,
    jobs: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Prepare all meshes of a folder, `jobs` at once; what is there already is kept.

    Each shape's file holds a stamp of its mesh's bytes and of the preparation, so that a killed
    command goes on where it stopped and a changed mesh is prepared anew. Meshes that cannot be
    read are left out, and `collection.json`, which is written last, says which and why.
    """
    meshes = read_mesh_folder(folder)
    waiting = [
        (str(path), str(shape_path(out, name)), name, preparation)
        for name, path in meshes.files.items()
        if not _is_current(shape_path(out, name), _stamp(path, preparation))
    ]
    say(f"{len(meshes.files)} shapes, {len(waiting)} to prepare")
    left_out = dict(meshes.left_out)
    for number, (name, trouble) in enumerate(_all_prepared(waiting, jobs), start=1):
        if trouble:
            left_out[name] = trouble
            say(f"left out {name}: {trouble}")
        if number % 50 == 0:
            say(f"{number} of {len(waiting)}")
    splits = {
        split: [name for name in names if name not in left_out]
        for split, names in meshes.splits.items()
    }
    if not splits["train"]:
        raise InputError(f"{folder}: none of its meshes can be prepared; see above for the reasons")
    _write_index(out, splits, preparation, left_out=left_out)


def _all_prepared(
    waiting: list[tuple[str, str, str, Preparation]], jobs: int
) -> Iterable[tuple[str, str]]:
    if jobs <= 1:
        yield from map(_prepare_one, waiting)
        return
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        yield from pool.map(_prepare_one, waiting, chunksize=1)


def _prepare_one(work: tuple[str, str, str, Preparation]) -> tuple[str, str]:
    """Prepare one mesh; returns its name and what was wrong with it, if anything."""
    source, target, name, preparation = work
    try:
        arrays = prepared(read_shape(Path(source)), preparation, seed=seed_of("prepared", name))
    except InputError as error:
        return name, str(error)
    _write_shape(Path(target), arrays, stamp=_stamp(Path(source), preparation))
    return name, ""


def mesh_arrays(meshes: MeshFolder, name: str, preparation: Preparation) -> dict[str, np.ndarray]:
    """The same arrays of a mesh that nobody prepared, made now."""
    return prepared(read_shape(meshes.files[name]), preparation, seed=seed_of("prepared", name))


def _write_shape(path: Path, arrays: Mapping[str, np.ndarray], *, stamp: str) -> None:
    with written_whole(path) as temporary:
        np.savez(temporary, stamp=np.array(stamp), **arrays)


def _is_current(path: Path, stamp: str) -> bool:
    if not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return str(arrays["stamp"]) == stamp
    except (OSError, ValueError, KeyError, EOFError):
        return False


def _stamp(mesh: Path, preparation: Preparation) -> str:
    return f"{sha256_of_file(mesh)} {canonical_json(dataclasses.asdict(preparation))}"


def _write_index(
    folder: Path,
    splits: Mapping[str, list[str]],
    preparation: Preparation,
    left_out: Mapping[str, str],
) -> None:
    write_json(
        folder / COLLECTION,
        {
            "schema": SCHEMA_VERSION,
            "splits": {split: list(names) for split, names in splits.items()},
            "preparation": dataclasses.asdict(preparation),
            "left_out": dict(sorted(left_out.items())),
        },
    )


def read_index(folder: Path) -> dict[str, Any]:
    """Read a collection's index; one that another version wrote is an `InputError`."""
    index = read_json(folder / COLLECTION)
    if index.get("schema") != SCHEMA_VERSION or set(index.get("splits", ())) != set(SPLITS):
        raise InputError(f"{folder / COLLECTION}: not of this version; prepare the shapes again")
    return index


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
