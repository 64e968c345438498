"""Collections of shapes behind one interface, whatever they come from.

`open_collection(path)` reads: prepared folders (`collection.json`, as `nir fetch chairs_small` and
`nir shapes prepare` write them), Occupancy Networks' preprocessed ShapeNet (class folders with
`train.lst`, models with `points.npz`, `pointcloud.npz`, `img_choy2016/`, `model.binvox`), and
folders of meshes (ModelNet's and plain ones), which are then prepared shape by shape when asked.

A shape's arrays are those of `shape_preparation`, bits unpacked to bool. A layout that lacks some
(Occupancy Networks has no signed distances) raises an `InputError` when they are asked for.
`ShapeBatches` turns them into tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from nir.data.mesh_layouts import read_mesh_folder
from nir.data.occupancy_networks_layout import read_model, splits_of, taken_for_that_layout
from nir.data.shape_preparation import (
    COLLECTION,
    SMALL,
    Preparation,
    mesh_arrays,
    read_index,
    shape_path,
)
from nir.data.shapes import Shape
from nir.errors import InputError

SHAPES_IN_MEMORY = 2048
Arrays = Mapping[str, np.ndarray]


class ShapeCollection:
    """Shapes by name ("chairs/0003"), names by split ("train", "val", "test")."""

    def __init__(
        self, folder: Path, splits: Mapping[str, Sequence[str]], read: Callable[[str], Arrays]
    ) -> None:
        self.folder = folder
        self.splits = {split: list(names) for split, names in splits.items()}
        of_name: dict[str, str] = {}
        for split, names in self.splits.items():
            for name in names:
                if of_name.setdefault(name, split) != split:
                    raise InputError(f"{folder}: {name} is in {of_name[name]} and in {split}")
        self.arrays = functools.lru_cache(maxsize=SHAPES_IN_MEMORY)(read)

    def names(self, split: str, *, most: int = 0) -> list[str]:
        """Names of a split; the first `most`, taken evenly from all of them, if that is not 0."""
        names = self.splits[split]
        if most and most < len(names):
            names = [names[place] for place in np.arange(most) * len(names) // most]
        if not names:
            raise InputError(f"{self.folder}: holds no shapes to {split} on")
        return names

    def array(self, name: str, key: str) -> np.ndarray:
        """One array of a shape; an `InputError` where the layout does not have it."""
        arrays = self.arrays(name)
        if key not in arrays:
            raise InputError(
                f"{self.folder}: this layout has no {key.replace('_', ' ')} for {name}; make them "
                "from meshes with nir shapes prepare"
            )
        return arrays[key]

    def surface(self, name: str) -> Shape:
        """The shape's own surface in the unit cube (not in Occupancy Networks' layout)."""
        vertices = self.array(name, "vertices").astype(np.float64)
        return _unrepaired(vertices, self.array(name, "faces").astype(np.int64), name)

    def as_trimesh(self, name: str) -> trimesh.Trimesh:
        """The same as a trimesh."""
        return self.surface(name).as_trimesh()

    def reference_points(self, name: str) -> Float[np.ndarray, "points 6"]:
        """Points on the surface with normals, as shape metrics take them; every layout has them."""
        arrays = [self.array(name, key) for key in ("surface_points", "surface_normals")]
        return np.concatenate(arrays, axis=1).astype(np.float32)

    def reference_occupancy(self, name: str) -> Float[np.ndarray, "points 4"]:
        """Points in space with their occupancy, as `iou_volume` takes them; every layout."""
        inside = self.array(name, "uniform_inside")[:, None]
        return np.concatenate([self.array(name, "uniform_points"), inside], axis=1, dtype="f4")


def open_collection(folder: Path, *, preparation: Preparation = SMALL) -> ShapeCollection:
    """Open a folder of shapes of any known layout; `preparation` is for meshes nobody prepared."""
    folder = Path(folder)
    if folder.name == COLLECTION:
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{folder}: no folder of shapes")
    if (folder / COLLECTION).is_file():
        read = functools.partial(_read_prepared, folder)
        return ShapeCollection(folder, read_index(folder)["splits"], read)
    if taken_for_that_layout(folder):
        return ShapeCollection(folder, splits_of(folder), functools.partial(read_model, folder))
    meshes = read_mesh_folder(folder)

    def read(name: str) -> Arrays:
        return _unpacked(mesh_arrays(meshes, name, preparation))

    return ShapeCollection(folder, meshes.splits, read)


def _read_prepared(folder: Path, name: str) -> Arrays:
    path = shape_path(folder, name)
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _unpacked({key: stored[key] for key in stored.files if key != "stamp"})
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); prepare the shapes again") from error


def _unpacked(arrays: Arrays) -> Arrays:
    unpacked = dict(arrays)
    for kind in ("uniform", "near"):
        count = len(arrays[f"{kind}_points"])
        bits = np.unpackbits(arrays[f"{kind}_inside"], count=count)
        unpacked[f"{kind}_inside"] = bits.astype(bool)
    side = len(arrays["voxels"])
    unpacked["voxels"] = np.unpackbits(arrays["voxels"], axis=-1, count=side).astype(bool)
    return unpacked


def _unrepaired(vertices: np.ndarray, faces: np.ndarray, name: str) -> Shape:
    from nir.data.mesh_repair import RepairReport

    return Shape(vertices, faces, name, RepairReport(faces_read=len(faces), vertices_read=0))


class ShapeBatches:
    """Batches of some shapes as tensors on `device`; shapes are given by their index in `names`.

    Random choices come from `generator` alone. Keys of the dictionaries are fixed:
    shape [b], points [b n 3], inside [b n] (0 or 1), distances [b n], normals [b n 3],
    voxels [b x y z], images [b 3 h w] (in [0, 1]), camera_to_world [b 4 4].
    """

    def __init__(
        self, collection: ShapeCollection, names: Sequence[str], device: torch.device | str = "cpu"
    ) -> None:
        self.collection = collection
        self.names = list(names)
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.names)

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Indices of `count` shapes: distinct ones as far as there are enough."""
        order = torch.cat(
            [
                torch.randperm(len(self), generator=generator, device=generator.device)
                for _ in range(-(-count // len(self)))
            ]
        )
        return order[:count].cpu()

    def occupancy(
        self, shapes: Tensor, count: int, generator: Generator, *, sampling: str = "uniform"
    ) -> dict[str, Tensor]:
        """shape, points, inside: drawn with replacement from the stored ones.

        sampling: "uniform" in the padded cube, "near" the surface, "equal": uniform points, half
        of them inside (Occupancy Networks' Table 4).
        """
        kind = "near" if sampling == "near" else "uniform"
        points, inside = [], []
        for name in self._names(shapes):
            held = self.collection.array(name, f"{kind}_inside")
            if sampling == "equal":
                chosen = _half_and_half(held, count, generator)
            else:
                chosen = _chosen(len(held), count, generator)
            points.append(self.collection.array(name, f"{kind}_points")[chosen])
            inside.append(held[chosen])
        return self._tensors(shape=shapes, points=points, inside=inside)

    def distances(
        self, shapes: Tensor, count: int, generator: Generator, *, balanced: bool = True
    ) -> dict[str, Tensor]:
        """shape, points, distances, in DeepSDF's unit sphere; balanced: half of them inside."""
        points, distances = [], []
        for name in self._names(shapes):
            held = self.collection.array(name, "distances")
            if balanced:
                chosen = _half_and_half(held < 0, count, generator)
            else:
                chosen = _chosen(len(held), count, generator)
            points.append(self.collection.array(name, "distance_points")[chosen])
            distances.append(held[chosen])
        return self._tensors(shape=shapes, points=points, distances=distances)

    def clouds(
        self, shapes: Tensor, count: int, generator: Generator, *, noise: float = 0.005
    ) -> dict[str, Tensor]:
        """shape, points, normals: surface points with Gaussian noise (Occupancy Networks: 300,
        deviation 0.005 in units of the cube, configs/pointcloud/onet.yaml).
        """
        points, normals = [], []
        for name in self._names(shapes):
            held = self.collection.array(name, "surface_points")
            chosen = _chosen(len(held), count, generator)
            points.append(held[chosen])
            normals.append(self.collection.array(name, "surface_normals")[chosen])
        batch = self._tensors(shape=shapes, points=points, normals=normals)
        shift = torch.randn(batch["points"].shape, generator=generator, device=generator.device)
        return batch | {"points": batch["points"] + noise * shift.to(self.device)}

    def images(
        self, shapes: Tensor, generator: Generator | None = None, *, view: int = 0
    ) -> dict[str, Tensor]:
        """shape, images, camera_to_world (where known): a random view each, or the given one."""
        images, poses = [], []
        for name in self._names(shapes):
            held = self.collection.array(name, "views")
            number = view if generator is None else int(_chosen(len(held), 1, generator)[0])
            images.append(np.moveaxis(held[number], -1, 0).astype(np.float32) / 255)
            arrays = self.collection.arrays(name)
            if "camera_to_world" in arrays:
                poses.append(arrays["camera_to_world"][number])
        known = {"camera_to_world": poses} if len(poses) == len(images) else {}
        return self._tensors(shape=shapes, images=images, **known)

    def voxels(self, shapes: Tensor) -> dict[str, Tensor]:
        """shape, voxels (0 or 1)."""
        held = [self.collection.array(name, "voxels") for name in self._names(shapes)]
        return self._tensors(shape=shapes, voxels=held)

    def _names(self, shapes: Tensor) -> list[str]:
        return [self.names[index] for index in shapes.tolist()]

    def _tensors(self, *, shape: Tensor, **arrays: list[np.ndarray]) -> dict[str, Tensor]:
        stacked = {
            key: torch.from_numpy(np.stack(values).astype(np.float32)).to(self.device)
            for key, values in arrays.items()
        }
        return {"shape": shape.to(self.device), **stacked}


def _chosen(total: int, count: int, generator: Generator) -> np.ndarray:
    return (
        torch.randint(total, (count,), generator=generator, device=generator.device).cpu().numpy()
    )


def _half_and_half(
    inside: Bool[np.ndarray, " points"], count: int, generator: Generator
) -> np.ndarray:
    """Indices with replacement, half of them inside; all from one side where the other is empty."""
    sides = [side for side in (np.flatnonzero(~inside), np.flatnonzero(inside)) if len(side)]
    shares = [count] if len(sides) == 1 else [count - count // 2, count // 2]
    return np.concatenate(
        [
            side[_chosen(len(side), share, generator)]
            for side, share in zip(sides, shares, strict=True)
        ]
    )
