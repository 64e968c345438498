"""Drawings of speed: frames a second of every way to draw a scene, beside what was published."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nir.reporting.results import Results
from nir.reporting.style import colour

WAYS = {
    "nerf": "NeRF, its networks",
    "network": "NeX, its networks",
    "live_basis": "baked, basis network live",
    "baked_on_cpu": "baked, on the processor",
    "baked": "baked, no network",
    "browser": "baked, in the browser",
}
PUBLISHED = {"nerf": 0.018, "baked": 300.0}
"""NeX, section 4, on an RTX 2080 Ti at 1008 x 756: NeRF's and NeX's frames a second."""


def frame_rates(results: Results) -> Figure:
    """Bars on a logarithmic axis, with the quality of what is drawn; published rates as marks."""
    run = next(results.runs())
    rates = {way: results.value(run, "frames_per_second", way) for way in WAYS}
    rates = {way: rate for way, rate in rates.items() if np.isfinite(rate)}
    figure, axis = plt.subplots(figsize=(5.4, 0.42 * len(rates) + 0.9))
    for row, (way, rate) in enumerate(rates.items()):
        axis.barh(row, rate, left=0, color=colour(list(WAYS).index(way)), height=0.62, zorder=2)
        axis.annotate(
            f"{_told(rate)}{_quality(results, run, way)}",
            (1.01, row),
            xycoords=axis.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
        )
    _mark_published(axis, list(rates))
    axis.set_xscale("log")
    values = [*rates.values(), *PUBLISHED.values()]
    axis.set_xlim(min(values) / 3, max(values) * 2)
    axis.set_yticks(range(len(rates)), [WAYS[way] for way in rates])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("frames a second")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _quality(results: Results, run: dict, way: str) -> str:
    """PSNR against the photographs, and against the networks where something was baked."""
    photographs = results.value(run, "psnr_8bit", way)
    if not np.isfinite(photographs):
        return ""
    against = results.value(run, "psnr_8bit", f"{way}_against_network")
    kept = f"; {against:.1f} dB to the network's" if np.isfinite(against) else ""
    return f",  {photographs:.1f} dB{kept}"


def _mark_published(axis: Axes, ways: list[str]) -> None:
    rows = [(rate, ways.index(way)) for way, rate in PUBLISHED.items() if way in ways]
    axis.plot(
        *zip(*rows, strict=True),
        linestyle="none",
        marker="D",
        color="#333333",
        markerfacecolor="white",
        markersize=6,
        zorder=3,
        label="published: 1008 × 756, RTX 2080 Ti",
    )


def _told(rate: float) -> str:
    """Two digits that count; slow ones as seconds.

    >>> _told(123.4), _told(0.05)
    ('123', '20 s a frame')
    """
    seconds = f"{1 / rate:.2g}" if rate > 0.1 else f"{1 / rate:.0f}"
    return f"{rate:.3g}" if rate >= 1 else f"{seconds} s a frame"
