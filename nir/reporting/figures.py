"""Figures: how what the drawings draw reaches the disk."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from nir.files import remove_leftovers, written_whole
from nir.reporting.drawings import module_of_figure
from nir.reporting.results import Results
from nir.reporting.style import STYLE


def plot(
    figure: str, plan: dict[str, Any], *, metrics: Path, results: Path, png: Path, pdf: Path
) -> None:
    """Draw the figure of that name for an experiment and write it as PNG and PDF."""
    drawing = importlib.import_module(module_of_figure(figure))  # it alone: some bring much along
    mpl.use("agg")
    with mpl.rc_context(STYLE):
        drawn = getattr(drawing, figure)(Results(plan, metrics, results))
        for path, metadata in ((png, {"Software": None}), (pdf, {"CreationDate": None})):
            with written_whole(path) as temporary:
                drawn.savefig(temporary, metadata=metadata)
            remove_leftovers(path)
    plt.close(drawn)
