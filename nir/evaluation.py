"""Evaluation: predictions on disk -> metrics.json. It never sees a model.

A run's metrics are computed again only if its predictions or the metrics' code changed; the
manifest of the predictions and a fingerprint of the code are kept beside the numbers.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nir.errors import InputError, MissingWeightsError
from nir.files import read_json, remove_leftovers, sha256_of_file, write_json, write_result
from nir.fingerprints import fingerprint
from nir.metrics import METRIC_MODULES, metric
from nir.predictions import MANIFEST, Item, Predictions, read_array, read_predictions

SCHEMA_VERSION = 1
RUN_COLUMNS = ("group", "subject", "variant", "seed")
ROW_COLUMNS = ("split", "metric", "value", "unit", "protocol", "note")


def evaluate_run(run_folder: Path, *, weights_folder: Path | None = None) -> dict[str, Any]:
    """Return the run's metrics, from metrics.json if that is current, else computed and written."""
    predictions_folder = run_folder / "predictions"
    path = run_folder / "metrics.json"
    mesh = run_folder / "mesh.ply"
    stamp = {
        "schema": SCHEMA_VERSION,
        "predictions": sha256_of_file(predictions_folder / MANIFEST),
        "mesh": sha256_of_file(mesh) if mesh.is_file() else "",
        "code": fingerprint("nir.evaluation", *METRIC_MODULES),
    }
    if path.is_file():
        kept = read_json(path)
        waiting = any(row["note"] for row in kept.get("metrics", ()))  # weights may have come
        if not waiting and all(kept.get(key) == value for key, value in stamp.items()):
            return kept
    predictions = read_predictions(predictions_folder)
    rows = compute_metrics(predictions, weights_folder=weights_folder)
    result = {**stamp, "metrics": rows}
    write_json(path, result)
    remove_leftovers(path)
    return result


def compute_metrics(
    predictions: Predictions, *, weights_folder: Path | None = None
) -> list[dict[str, Any]]:
    """One row for each (split, metric, protocol): the mean over its items, and every item's value.

    A metric whose trained weights are absent has no value and a note that says what to fetch.
    """
    values: dict[RowKey, dict[str, float]] = defaultdict(dict)
    notes: dict[RowKey, str] = defaultdict(str)
    for item in predictions.items:
        for name in item.metrics:
            key = RowKey(item.split, name, item.protocol)
            of_key = values[key]
            try:
                of_key[item.name] = _value(predictions, item, name, weights_folder)
            except MissingWeightsError as error:
                notes[key] = str(error)
    rows = [_row(key, metric(key.metric).unit, values[key], notes[key]) for key in values]
    return rows + [
        _row(RowKey(n.split, n.metric, n.protocol), n.unit, {"": n.value}, "")
        for n in predictions.numbers
    ]


class RowKey(NamedTuple):
    """What tells one number of a run from another."""

    split: str
    metric: str
    protocol: str


def _row(key: RowKey, unit: str, items: dict[str, float], note: str) -> dict[str, Any]:
    complete = items and not note
    return {
        **key._asdict(),
        "value": statistics.fmean(items.values()) if complete else None,
        "unit": unit,
        "items": items if len(items) > 1 else {},
        "note": note,
    }


def _value(predictions: Predictions, item: Item, name: str, weights_folder: Path | None) -> float:
    prediction = _read(predictions.folder / item.prediction)
    reference = _read(predictions.folder / item.reference)
    both = isinstance(prediction, np.ndarray) and isinstance(reference, np.ndarray)
    if both and metric(name).compares == "arrays" and prediction.shape != reference.shape:
        raise InputError(
            f"{predictions.folder / item.prediction}: shape {prediction.shape} differs from the "
            f"reference's {reference.shape}; predict again"
        )
    return metric(name)(prediction, reference, weights_folder=weights_folder)


def evaluate_experiment(
    plan: dict[str, Any], results: Path, *, out: Path, weights_folder: Path | None = None
) -> None:
    """Evaluate all runs of an experiment's plan and write their numbers as one long table."""
    columns = [*RUN_COLUMNS, *ROW_COLUMNS]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for run in plan["runs"]:
        result = evaluate_run(results / run["place"], weights_folder=weights_folder)
        writer.writerows({**run, **row} for row in result["metrics"])
    write_result(out, text.getvalue())


def _read(path: Path) -> Any:
    """Read what a metric compares: an array, curves (log.csv), or a surface (the run's mesh.ply).

    A file without faces and points is a surface too, the empty one: a failure that metrics count.
    """
    if path.suffix == ".npy":
        return read_array(path)
    if path.suffix == ".csv":
        import pandas as pd

        return pd.read_csv(path)
    import trimesh

    try:
        surface = trimesh.load(path, process=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable surface ({error}); mesh the run again") from error
    if isinstance(surface, trimesh.PointCloud):
        return np.asarray(surface.vertices)
    return surface if isinstance(surface, trimesh.Trimesh) else trimesh.Trimesh()
