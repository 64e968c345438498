"""Figures: the names that config.yaml uses, and how a figure reaches the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from nir.errors import unknown_name
from nir.files import written_whole
from nir.reporting.drawings import cameras, curves, pictures
from nir.reporting.results import Results
from nir.reporting.style import STYLE

FIGURES: dict[str, Callable[[Results], Figure]] = {
    "bandwidth": curves.bandwidth,
    "cameras": cameras.cameras,
    "curves": curves.curves,
    "derivatives": pictures.derivatives,
    "images": pictures.images,
    "layers": curves.layers,
    "quality_for_bytes": curves.quality_for_bytes,
}


def plot(
    figure: str, plan: dict[str, Any], *, metrics: Path, results: Path, png: Path, pdf: Path
) -> None:
    """Draw the figure of that name for an experiment and write it as PNG and PDF."""
    if figure not in FIGURES:
        raise unknown_name("figure", figure, FIGURES)
    mpl.use("agg")
    with mpl.rc_context(STYLE):
        drawn = FIGURES[figure](Results(plan, metrics, results))
        for path, metadata in ((png, {"Software": None}), (pdf, {"CreationDate": None})):
            with written_whole(path) as temporary:
                drawn.savefig(temporary, metadata=metadata)
