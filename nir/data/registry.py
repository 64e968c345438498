"""The registry: what data sets there are, where they come from and where they lie.

Reads `registry.toml` beside this file, with the standard library alone, so that a workflow can ask
for names and paths without starting anything heavy.

Words: a *set* is a table of the file, fetched as a whole; a *data set* is one subject in it (one
scene, one image), the thing that a name in `config.yaml` stands for. `parcel` is the name of the
set that brings a data set.
"""

from __future__ import annotations

import functools
import importlib.util
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nir.errors import InputError, unknown_name

KINDS = (
    "image",
    "signal",
    "audio",
    "video",
    "mesh",
    "scene",
    "volume",
    "weights",
    "shapes",
    "medium",
    "photos",
    "survey",
)
SOURCES = ("bundled", "generated", "download", "manual")
ARCHIVES = ("file", "gzip", "zip", "tar", "npz_images")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One data set: where it comes from, where it lies, how its content is checked.

    `path` is what a reader opens, relative to the data root. `members` pairs a file or folder
    inside of the archive with the place below `path` where it goes ("" is `path` itself). `sha256`
    is of the file that a server sends; empty where nobody has recorded it, then `check` must hold
    and the hash of the first download is pinned. `size_bytes` is of the download, approximate, 0
    where unknown.
    """

    name: str
    kind: str
    source: str
    path: str
    parcel: str
    part_of: str = ""
    addresses: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    file: str = ""
    archive: str = "file"
    members: tuple[tuple[str, str], ...] = (("", ""),)
    sha256: str = ""
    sha256_from: str = ""
    check: Mapping[str, Any] = field(default_factory=dict, hash=False)
    size_bytes: int = 0
    unpacked_bytes: int = 0
    unpacked_files: int = 0
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    hint: str = ""
    unverified: str = ""


@functools.cache
def registry() -> Mapping[str, Dataset]:
    """Return every data set by name, in the order of `registry.toml`.

    >>> registry()["lego"].path
    'nerf_synthetic/lego'
    """
    tables = tomllib.loads(Path(__file__).with_name("registry.toml").read_text(encoding="utf-8"))
    found: dict[str, Dataset] = {}
    for parcel, table in tables.items():
        for dataset_ in _datasets_of(parcel, table):
            if dataset_.name in found:
                raise ValueError(f"registry.toml: {dataset_.name!r} is named twice")
            found[dataset_.name] = dataset_
    return found


def dataset(name: str) -> Dataset:
    """Return the data set called `name`; an unknown name is an `InputError` naming the nearest."""
    known = registry()
    if name not in known:
        raise unknown_name("data set", name, known)
    return known[name]


def siblings(parcel: str) -> tuple[Dataset, ...]:
    """Return the data sets that one download brings together, as the scenes of one archive."""
    return tuple(
        entry for entry in registry().values() if entry.parcel == parcel and not entry.part_of
    )


def names_in(name: str) -> tuple[str, ...]:
    """Return the data sets that `name` stands for: itself, or all subjects of the set it names.

    >>> names_in("nerf_llff_data")[:2]
    ('fern', 'flower')
    """
    if name in registry():
        return (name,)
    subjects = tuple(entry.name for entry in siblings(name))
    if not subjects:
        raise unknown_name("data set", name, [*registry(), *_parcels()])
    return subjects


def bundled_folder() -> Path:
    """Return scikit-image's folder of images, without importing it (that takes half a second)."""
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise InputError("scikit-image is not installed, and the bundled images come with it")
    return Path(found.submodule_search_locations[0]) / "data"


def _parcels() -> set[str]:
    return {entry.parcel for entry in registry().values()}


def _datasets_of(parcel: str, table: Mapping[str, Any]) -> Iterator[Dataset]:
    shared = {key: value for key, value in table.items() if key not in ("subjects", "numbered")}
    if "numbered" in table:
        for number in range(table["numbered"]):
            place = {"number": f"{number:02d}"}
            yield _dataset(f"{parcel}_{number:02d}", parcel, shared, {}, place)
        return
    subjects = table.get("subjects", [parcel])
    own = subjects if isinstance(subjects, dict) else {name: {} for name in subjects}
    for subject, extra in own.items():
        place = {"subject": subject, "file": extra.get("file", "")}
        yield _dataset(subject, parcel, shared, extra, place)


def _dataset(
    name: str,
    parcel: str,
    shared: Mapping[str, Any],
    extra: Mapping[str, Any],
    place: Mapping[str, str],
) -> Dataset:
    values = {**shared, **extra}
    values["check"] = {**shared.get("check", {}), **extra.get("check", {})}
    values["path"] = values["path"].format(**place)
    values["addresses"] = tuple(values.get("addresses", ()))
    values["mirrors"] = tuple(values.get("mirrors", ()))
    if values["addresses"]:
        values.setdefault("file", values["addresses"][0].rpartition("/")[2])
    values["members"] = _members(values, place)
    for key in ("inside", "splits"):
        values.pop(key, None)
    if "part_of" in values:
        whole = values["part_of"]
        values = {"source": "download", "licence": f"as {whole}", **values}
        parcel = whole
    return Dataset(name=name, parcel=parcel, **values)


def _members(values: Mapping[str, Any], place: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if values.get("archive") == "npz_images":
        return tuple(values["members"].items())
    inside = values.get("inside", "")
    if "splits" not in values:
        return ((inside.format(**place), ""),)
    return tuple((inside.format(split=split, **place), split) for split in values["splits"])
