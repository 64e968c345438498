"""Drawings of shapes: portraits side by side, strips between shapes, quality over bytes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.drawings.tiles import cut_alike
from nir.reporting.results import Results
from nir.reporting.style import colour

PANEL_INCHES = 1.5
SHAPES_SHOWN = 6


def portraits(results: Results) -> Figure:
    """Shapes from left to right; above what was seen (if not all) and the truth, below it each
    variant's, with its Chamfer distance under the picture.
    """
    run = next(results.runs(subject=results.subjects[0]))
    truths = results.array(run, "portraits-reference")[:SHAPES_SHOWN]
    rows: list[tuple[str, NDArray]] = []
    if results.has_array(run, "portraits-seen"):
        rows.append(("seen", results.array(run, "portraits-seen")[:SHAPES_SHOWN]))
    rows.append(("truth", truths))
    for other in results.runs(subject=results.subjects[0]):
        label = f"{other['label']}\n{_chamfer(results, other)}"
        rows.append((label, results.array(other, "portraits-prediction")[:SHAPES_SHOWN]))
    return _pictures(rows)


def morphs(results: Results) -> Figure:
    """From one shape to another: between codes, and between distances."""
    run = next(results.runs(subject=results.subjects[0]))
    rows = [
        (
            f"{split}\n{results.value(run, 'pieces', split):.1f} pieces",
            results.array(run, f"strip-{split.replace(' ', '-')}"),
        )
        for split in ("between codes", "between distances")
    ]
    return _pictures(rows)


def _chamfer(results: Results, run: dict) -> str:
    """The mean of DeepSDF's Chamfer distance over the run's shapes."""
    value = results.value(run, "chamfer_l2_sum")
    return "" if np.isnan(value) else f"CD {value:.2f}"


def _pictures(rows: list[tuple[str, NDArray]]) -> Figure:
    columns = max(len(pictures) for _, pictures in rows)
    cut = cut_alike([pictures for _, pictures in rows])
    height, width = cut[-1].shape[1:3]
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(PANEL_INCHES * columns + 0.9, PANEL_INCHES * len(rows) * height / width),
        squeeze=False,
        gridspec_kw={"wspace": 0.0, "hspace": 0.0},
    )
    for of_row, (label, _), pictures in zip(axes, rows, cut, strict=True):
        for axis in of_row:
            axis.axis("off")
        for axis, picture in zip(of_row, pictures, strict=False):
            axis.imshow(picture, interpolation="bilinear")
        of_row[0].text(
            -0.08,
            0.5,
            label,
            transform=of_row[0].transAxes,
            ha="right",
            va="center",
            fontsize=8.5,
        )
    return figure


def decision_or_distance(results: Results) -> Figure:
    """Three metrics, one panel each, of every run: coloured by what was learned."""
    metrics = {
        "iou_volume": "IoU (more is better)",
        "chamfer_l1": "Chamfer-L1 (less is better)",
        "normal_consistency": "normal consistency (more is better)",
    }
    runs = list(results.runs(subject=results.subjects[0]))
    figure, axes = plt.subplots(
        1,
        len(metrics),
        figsize=(10.4, 0.8 + 0.36 * len(runs)),
        sharey=True,
        layout="constrained",
    )
    for axis, (metric, says) in zip(axes, metrics.items(), strict=True):
        _bars(axis, results, runs, metric)
        axis.set_title(says)
    axes[0].set_yticks(range(len(runs)), [run["label"] for run in runs])
    axes[0].invert_yaxis()
    return figure


def _bars(axis: Axes, results: Results, runs: list[dict], metric: str) -> None:
    """One bar a run; a word in its place where no shape has a surface."""
    axis.margins(x=0.18)
    for place, run in enumerate(runs):
        if results.value(run, "failed") == 1:
            axis.text(0, place, " no surface", va="center", fontsize=7.5)
            continue
        of_target = colour(("occupancy", "distance").index(run["recipe"]["target"]))
        bars = axis.barh(place, results.value(run, metric), height=0.7, color=of_target)
        axis.bar_label(bars, fmt="%.3f", fontsize=7.5, padding=2)
    axis.grid(axis="y", visible=False)


def shape_memory(results: Results) -> Figure:
    """Chamfer distance over stored bytes: voxels, points, mesh and network; one panel a subject."""
    subjects = results.subjects
    figure, axes = plt.subplots(
        1,
        len(subjects),
        figsize=(5.6 * len(subjects), 3.6),
        squeeze=False,
        layout="constrained",
    )
    for axis, subject in zip(axes[0], subjects, strict=True):
        for index, run in enumerate(results.runs(subject=subject)):
            sizes, distances = np.array(_bytes_and_distances(results, run)).T
            order = np.argsort(sizes)
            axis.plot(
                sizes[order] / 1024,
                10 * distances[order],
                "o-",
                color=colour(index),
                label=run["label"],
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        budgets = sorted({b for run in results.runs() for b in run["recipe"].get("budgets", ())})
        axis.set_xticks([b / 1024 for b in budgets], [f"{b / 1024:g}" for b in budgets])
        axis.set_xticks([], minor=True)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
        axis.tick_params(axis="y", which="minor", labelsize=7)
        axis.set_xlabel("size (KiB)")
        axis.set_title(subject.replace("_", " "))
    axes[0, 0].set_ylabel("Chamfer-L1 (% of the longest edge)")
    axes[0, -1].legend(loc="best")
    return figure


def _bytes_and_distances(results: Results, run: dict) -> list[tuple[float, float]]:
    """(bytes, Chamfer-L1) of all sizes of one representation; other splits have no bytes."""
    of_run = results.metrics[
        (results.metrics["subject"] == run["subject"])
        & (results.metrics["variant"] == run["variant"])
        & (results.metrics["seed"] == run["seed"])
    ]
    size = of_run[of_run["metric"] == "stored_bytes"].set_index("split")["value"]
    distance = of_run[of_run["metric"] == "chamfer_l1"].set_index("split")["value"]
    return [(size[split], distance[split]) for split in size.index if split in distance.index]


def shape_resolutions(results: Results) -> Figure:
    """The same network meshed finer and finer, and the truth."""
    run = next(
        r for r in results.runs(subject=results.subjects[0]) if results.has_array(r, "resolutions")
    )
    resolutions = results.array(run, "resolutions")
    pictures = results.array(run, "portraits-resolutions")
    truth = results.array(run, "portraits-reference")
    figure = _pictures([("the same\nnetwork", np.concatenate([pictures, truth]))])
    for axis, name in zip(figure.axes, [*(f"{n}³" for n in resolutions), "truth"], strict=True):
        axis.set_title(name, fontsize=8.5)
    return figure
