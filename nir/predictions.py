"""Predictions on disk: what a task leaves for evaluation, figures and people.

`predictions.json` lists *items* (a prediction and its reference, which metrics apply, under which
protocol), *numbers* that no file can tell (parameters, bytes, evaluations of the network) and
*pictures* for people. Every file stands there with its SHA-256. Arrays are .npy without pickles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nir.errors import InputError
from nir.files import (
    csv_text,
    read_json,
    sha256_of_file,
    write_bytes,
    write_json,
    write_text,
    written_whole,
)

MANIFEST = "predictions.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Item:
    """One prediction beside its reference. `split` groups items whose metrics are averaged."""

    name: str
    split: str
    prediction: str
    reference: str
    metrics: tuple[str, ...]
    protocol: str


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number known only to the run itself."""

    metric: str
    value: float
    unit: str
    protocol: str
    split: str = ""


@dataclass
class Predictions:
    """Collects what a task predicts into a folder; `write` closes it with the manifest."""

    folder: Path
    protocol: str
    items: list[Item] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    arrays: dict[str, str] = field(default_factory=dict)

    def compare(
        self,
        name: str,
        prediction: NDArray[np.floating],
        reference: NDArray[np.floating],
        *,
        metrics: tuple[str, ...],
        split: str | None = None,
        protocol: str | None = None,
    ) -> None:
        """Add one item: both arrays are written and compared by `metrics` later."""
        self.items.append(
            Item(
                name=name,
                split=split or name,
                prediction=self.array(f"{name}-prediction", prediction),
                reference=self.array(f"{name}-reference", reference),
                metrics=metrics,
                protocol=protocol or self.protocol,
            )
        )

    def curves(
        self, name: str, curves: Mapping[str, Sequence[float]], *, columns: tuple[str, ...]
    ) -> None:
        """Write curves over `step` that theory predicts; each of `columns` is an item of its own
        that is compared with the run's log.csv.
        """
        rows = [
            dict(zip(curves, values, strict=True)) for values in zip(*curves.values(), strict=True)
        ]
        write_text(self.folder / f"{name}.csv", csv_text(rows))
        for column in columns:
            reference = f"{name}-{column}.csv"
            one = [{"step": row["step"], column: row[column]} for row in rows]
            write_text(self.folder / reference, csv_text(one))
            self.items.append(
                Item(
                    name=f"{name}-{column}",
                    split=f"{name} {column}".replace("_", " "),
                    prediction="../log.csv",
                    reference=reference,
                    metrics=("deviation_of_start", "mean_log_ratio"),
                    protocol=self.protocol,
                )
            )

    def array(self, name: str, values: NDArray[Any]) -> str:
        """Write one array for figures to use, and return its file name."""
        file_name = f"{name}.npy"
        with written_whole(self.folder / file_name) as temporary:
            np.save(temporary, np.ascontiguousarray(values), allow_pickle=False)
        self.arrays[name] = file_name
        return file_name

    def compare_surfaces(
        self,
        name: str,
        prediction: bytes,
        reference: bytes | NDArray[np.floating],
        *,
        metrics: tuple[str, ...],
        split: str,
    ) -> None:
        """Add one item of surfaces: PLY files, or points [n, 6] for a reference without faces."""
        write_bytes(self.folder / f"{name}-prediction.ply", prediction)
        if isinstance(reference, bytes):
            write_bytes(self.folder / f"{name}-reference.ply", reference)
            reference_file = f"{name}-reference.ply"
        else:
            reference_file = self.array(f"{name}-reference", reference)
        self.items.append(
            Item(
                name=name,
                split=split,
                prediction=f"{name}-prediction.ply",
                reference=reference_file,
                metrics=metrics,
                protocol=self.protocol,
            )
        )

    def number(self, metric: str, value: float, unit: str, *, split: str = "") -> None:
        """Add a number that no file can tell."""
        self.numbers.append(
            Number(metric=metric, value=value, unit=unit, protocol=self.protocol, split=split)
        )

    def write(self) -> None:
        """Write the manifest; the folder is complete after it."""
        files = sorted(p for p in self.folder.iterdir() if p.name != MANIFEST)
        write_json(
            self.folder / MANIFEST,
            {
                "schema": SCHEMA_VERSION,
                "protocol": self.protocol,
                "items": [dataclasses.asdict(item) for item in self.items],
                "numbers": [dataclasses.asdict(number) for number in self.numbers],
                "arrays": self.arrays,
                "sha256": {p.name: sha256_of_file(p) for p in files},
            },
        )


def read_predictions(folder: Path) -> Predictions:
    """Read a folder's manifest."""
    manifest = read_json(folder / MANIFEST)
    if manifest.get("schema") != SCHEMA_VERSION:
        raise InputError(f"{folder / MANIFEST}: written by another version; predict again")
    items = [Item(**{**item, "metrics": tuple(item["metrics"])}) for item in manifest["items"]]
    numbers = [Number(**number) for number in manifest["numbers"]]
    return Predictions(folder, manifest["protocol"], items, numbers, manifest["arrays"])


def read_array(path: Path) -> NDArray[Any]:
    """Read an array that `Predictions.array` wrote; a damaged one is an `InputError`."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable array ({error}); predict again") from error
