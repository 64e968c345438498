"""Drawings of numbers: over training, over bandwidth, over bytes, over depth."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nir.reporting.results import Results, psnr
from nir.reporting.style import colour


def curves(results: Results) -> Figure:
    """PSNR over training, one panel a subject: unseen pixels if there are any, else trained."""
    subjects = results.subjects
    figure, axes = plt.subplots(
        1, len(subjects), figsize=(4.2 * len(subjects), 3.2), squeeze=False, sharey=True
    )
    for axis, subject in zip(axes[0], subjects, strict=True):
        seen_only = True
        for index, run in enumerate(results.runs(subject=subject)):
            log = results.log(run)
            column = "mse_tested" if "mse_tested" in log else "mse_trained"
            seen_only = seen_only and column == "mse_trained"
            if run["recipe"]["steps"] == 0:
                level = float(psnr(log[column].iloc[-1]))
                axis.axhline(level, color=colour(index), linestyle=":", label=run["label"])
            else:
                axis.plot(log["step"], psnr(log[column]), color=colour(index), label=run["label"])
        axis.set_title(subject.replace("_", " "))
        axis.set_xlabel("training step")
    axes[0, 0].set_ylabel(
        "PSNR on trained pixels (dB)" if seen_only else "PSNR on unseen pixels (dB)"
    )
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def bandwidth(results: Results) -> Figure:
    """Trained and unseen pixels over the bandwidth, for Gaussian and positional encodings."""
    subjects = results.subjects
    figure, axes = plt.subplots(
        len(subjects), 2, figsize=(8.4, 3.3 * len(subjects)), squeeze=False, sharey=True
    )
    for row, subject in zip(axes, subjects, strict=True):
        for axis, encoding in zip(row, ("gaussian", "positional"), strict=True):
            _bandwidth_panel(axis, results, subject, encoding)
        row[0].set_ylabel("PSNR (dB)")
    axes[0, -1].legend(loc="best")
    return figure


def _bandwidth_panel(axis: Axes, results: Results, subject: str, encoding: str) -> None:
    runs = [r for r in results.runs(subject=subject) if r["recipe"]["encoding"] == encoding]
    sigma = [
        r["recipe"]["bandwidth"]
        if encoding == "gaussian"
        else 2 ** r["recipe"]["log2_bandwidth"] - 1
        for r in runs
    ]
    order = np.argsort(sigma)
    for index, (split, says) in enumerate(
        (("trained", "trained pixels"), ("tested", "unseen pixels"))
    ):
        values = [results.value(r, "psnr_float", split) for r in runs]
        axis.plot(
            np.array(sigma)[order], np.array(values)[order], "o-", color=colour(index), label=says
        )
    axis.set_xscale("log")
    title = "Gaussian" if encoding == "gaussian" else "positional encoding"
    axis.set_title(f"{title}, {subject.replace('_', ' ')}")
    axis.set_xlabel("σ of the frequencies" if encoding == "gaussian" else "σ, highest frequency")


def quality_for_bytes(results: Results) -> Figure:
    """Quality over size on disk: one line for networks, one for grids of pixels."""
    figure, axis = plt.subplots(figsize=(5.4, 3.6))
    families = {
        "network": "network (SIREN, 16 bits a number)",
        "pixels": "pixels (8 bits a number)",
    }
    kibibytes: list[float] = []
    for index, (family, label) in enumerate(families.items()):
        runs = [r for r in results.runs() if r["recipe"]["field"] == family]
        variants = list(dict.fromkeys(r["variant"] for r in runs))
        size = [results.mean(v, "stored_bytes", "") / 1024 for v in variants]
        kibibytes = kibibytes or sorted(size)  # the other family is as large, about
        quality = [results.mean(v, "psnr_8bit", "trained") for v in variants]
        order = np.argsort(size)
        axis.plot(
            np.array(size)[order],
            np.array(quality)[order],
            "o-",
            color=colour(index),
            label=label,
        )
    axis.set_xscale("log")
    _tick_at(axis, kibibytes)
    axis.set_xlabel("size on disk (KiB)")
    axis.set_ylabel("PSNR, 8 bit (dB)")
    axis.legend(loc="upper left")
    return figure


def _tick_at(axis: Axes, places: list[float]) -> None:
    """Name these places of a logarithmic axis and no others."""
    axis.set_xticks(places, [f"{place:.3g}" for place in places])
    axis.set_xticks([], minor=True)


def layers(results: Results) -> Figure:
    """Distributions at every layer of the network before training, one row a variant."""
    runs = list(results.runs(subject=results.subjects[0]))
    kinds = ("preactivation", "activation", "gradient")
    figure, axes = plt.subplots(
        len(runs), 4, figsize=(11.5, 1.75 * len(runs)), squeeze=False, layout="constrained"
    )
    for row, run in zip(axes, runs, strict=True):
        for axis, kind in zip(row, kinds, strict=False):
            histograms = results.array(run, f"{kind}-histograms")
            # The last layer's gradients are the last map's few weights, the same at every point.
            _layer_histograms(axis, histograms[:-1] if kind == "gradient" else histograms)
        _layer_deviations(row[3], results, run, kinds)
        row[0].set_title(run["label"], loc="left", fontsize=9, fontweight="bold")
    for axis, says in zip(axes[-1], ("pre-activations", "activations", "gradients"), strict=False):
        axis.set_xlabel(f"{says}, first layer light, last dark", fontsize=8, loc="left")
    axes[-1, 3].set_xlabel("layer")
    axes[0, 3].set_title("standard deviation over depth", fontsize=8.5)
    # Beside the axes: lines run everywhere within them.
    named = axes[0, 3].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower right", ncols=len(kinds), fontsize=7.5)
    return figure


def _layer_histograms(axis: Axes, histograms: np.ndarray) -> None:
    """One line a layer, light (first) to dark (last); densities scaled to their own peak."""
    shades = plt.get_cmap("viridis")(np.linspace(0.85, 0.1, len(histograms)))
    for shade, (centres, densities) in zip(shades, np.moveaxis(histograms, 2, 1), strict=True):
        axis.plot(centres, densities / max(densities.max(), 1e-30), color=shade, linewidth=1.1)
    axis.set_yticks([])
    axis.ticklabel_format(axis="x", scilimits=(-2, 3))


def _layer_deviations(axis: Axes, results: Results, run: dict, kinds: tuple[str, ...]) -> None:
    for index, kind in enumerate(kinds):
        deviations = results.array(run, f"{kind}-deviations")
        depth = np.arange(1, len(deviations) + 1)
        axis.plot(depth, np.maximum(deviations, 1e-12), "o-", color=colour(index), label=kind)
    axis.axhline(1, color="#999999", linewidth=0.8, linestyle="--")
    axis.set_yscale("log")


def bandwidth_choice(results: Results) -> Figure:
    """PSNR over fixed bandwidths with the chosen ones, and the curves they were chosen by."""
    subject = results.subjects[0]
    figure, (quality, criteria) = plt.subplots(1, 2, figsize=(9.6, 3.3), layout="constrained")
    runs = list(results.runs(subject=subject))
    fixed = [r for r in runs if not r["recipe"]["chosen_by"]]
    chosen = [r for r in runs if r["recipe"]["chosen_by"]]
    sigma = np.array([results.value(r, "sigma") for r in fixed])
    order = np.argsort(sigma)
    values = np.array([results.value(r, "psnr_float", "tested") for r in fixed])
    quality.plot(sigma[order], values[order], "o-", color="#888888", label="fixed σ")
    for index, run in enumerate(chosen):
        place = results.value(run, "sigma"), results.value(run, "psnr_float", "tested")
        quality.plot(*place, "D", ms=7, color=colour(index), label=run["label"])
        candidates, criterion = results.array(run, "criterion")
        rise = (criterion - criterion.min()) / (np.median(criterion) - criterion.min() + 1e-12)
        criteria.plot(candidates, rise, color=colour(index), label=run["label"])
        criteria.axvline(place[0], color=colour(index), linestyle=":", linewidth=1)
    for axis in (quality, criteria):
        axis.set_xscale("log")
        axis.set_xlabel("σ of the frequencies")
    _tick_at(quality, list(sigma))
    quality.set_ylabel("PSNR on unseen pixels (dB)")
    quality.legend(fontsize=7.5)
    criteria.set_ylim(-0.2, 4)
    criteria.set_ylabel("criterion above its lowest value")
    return figure


def sparse_embedding(results: Results) -> Figure:
    """PSNR of the whole picture over the number of frequencies, a line for each depth (fig. 6)."""
    runs = list(results.runs(subject=results.subjects[0]))
    figure, axis = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
    depths = sorted({run["recipe"]["hidden_layers"] for run in runs})
    for index, depth in enumerate(depths):
        own = [run for run in runs if run["recipe"]["hidden_layers"] == depth]
        own.sort(key=lambda run: run["recipe"]["features"])
        counts = [run["recipe"]["features"] for run in own]
        quality = [results.value(run, "psnr_float", "whole") for run in own]
        label = f"{depth + 2} layers"
        axis.plot(counts, quality, "o-", ms=4, color=colour(index), label=label)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    axis.set_xlabel("frequencies in the mapping")
    axis.set_ylabel("PSNR of all pixels (dB)")
    axis.legend()
    return figure
