"""Folders of meshes: which shapes they hold and which split each belongs to.

Layouts: ModelNet (`class/train/*.off`, `class/test/*.off`); lists (`train.lst`, `val.lst`,
`test.lst`, at the top or in each class, names without suffix); else any folder, split by content.
A shape's name is its path without suffix, the split's folder left out: `chair/chair_0001`.

Equal files are one shape: they never come into two splits. Where a layout's own splits share a
file, training keeps it and the others lose it, and `left_out` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nir.data.shapes import MESH_SUFFIXES
from nir.errors import InputError
from nir.files import sha256_of_file

SPLITS = ("train", "val", "test")
SHARE_OF_VALIDATION, SHARE_OF_TEST = 0.1, 0.2
"""Of a folder without splits; of training shapes where only a test split is given: 0.1 too."""


@dataclass(frozen=True)
class MeshFolder:
    """Meshes by name, names by split, and what was left out and why."""

    files: Mapping[str, Path]
    splits: Mapping[str, list[str]]
    left_out: Mapping[str, str]


def read_mesh_folder(folder: Path) -> MeshFolder:
    """List the meshes of a folder and their splits; a folder without any is an `InputError`."""
    found = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in MESH_SUFFIXES)
    if not found:
        raise InputError(
            f"{folder}: holds no meshes; {', '.join(MESH_SUFFIXES)} can be read, and prepared "
            "collections have a collection.json"
        )
    files, given = {}, {}
    lists = _lists(folder)
    for path in found:
        parts = list(path.relative_to(folder).with_suffix("").parts)
        split = next((p for p in parts[:-1] if p in SPLITS), "")
        name = "/".join(p for p in parts if p not in SPLITS or p == parts[-1])
        if name in files:
            raise InputError(f"{path}: a second shape called {name!r}; rename one")
        files[name] = path
        given[name] = split or lists.get(name, "")
    return _split(files, given, needs_lists=bool(lists))


def _lists(folder: Path) -> dict[str, str]:
    """Splits by name, from the lists at the top and in classes."""
    of_name: dict[str, str] = {}
    for split in SPLITS:
        for file in sorted([*folder.glob(f"{split}.lst"), *folder.glob(f"*/{split}.lst")]):
            prefix = "" if file.parent == folder else f"{file.parent.name}/"
            for line in file.read_text(encoding="utf-8").split():
                name = prefix + line
                if of_name.setdefault(name, split) != split:
                    raise InputError(f"{file}: {line} is in {of_name[name]}.lst too")
    return of_name


def _split(files: dict[str, Path], given: dict[str, str], *, needs_lists: bool) -> MeshFolder:
    hashes = {name: sha256_of_file(path) for name, path in files.items()}
    left_out: dict[str, str] = {}
    if not any(given.values()):
        of_hash = _by_content(sorted(set(hashes.values())))
        given = {name: of_hash[digest] for name, digest in hashes.items()}
    elif not needs_lists and "val" not in given.values():
        trained = sorted({hashes[n] for n, split in given.items() if split == "train"})
        held = set(trained[: max(1, round(SHARE_OF_VALIDATION * len(trained)))])
        for name, split in given.items():
            if split == "train" and hashes[name] in held and len(trained) > 1:
                given[name] = "val"
    first = {}
    for split in SPLITS:
        for name in (n for n in files if given[n] == split):
            if first.setdefault(hashes[name], split) != split:
                left_out[name] = f"the same file as a shape of the split {first[hashes[name]]}"
    left_out |= {name: "in no list of shapes" for name, split in given.items() if not split}
    splits = {
        split: [n for n in files if given[n] == split and n not in left_out] for split in SPLITS
    }
    return MeshFolder({n: p for n, p in files.items() if n not in left_out}, splits, left_out)


def _by_content(digests: list[str]) -> dict[str, str]:
    """Splits of a folder that has none: hashes are as good as shuffled."""
    test = max(1, round(SHARE_OF_TEST * len(digests))) if len(digests) > 1 else 0
    validation = max(1, round(SHARE_OF_VALIDATION * len(digests))) if len(digests) > 2 else 0
    split = ["test"] * test + ["val"] * validation
    split += ["train"] * (len(digests) - len(split))
    return dict(zip(digests, split, strict=True))
