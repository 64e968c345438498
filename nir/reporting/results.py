"""Results: what figures read of an experiment, from its folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nir.predictions import read_array
from nir.reporting.numbers import read_numbers


@dataclass(frozen=True)
class Results:
    """An experiment's plan, its metrics and the folder results/<scale> that holds its runs."""

    plan: dict[str, Any]
    metrics_path: Path
    folder: Path

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The long table that evaluation wrote."""
        frame = read_numbers(self.metrics_path)
        return frame.assign(value=pd.to_numeric(frame["value"], errors="coerce"))

    @property
    def subjects(self) -> list[str]:
        """Subjects in the order of the configuration."""
        return list(dict.fromkeys(run["subject"] for run in self.plan["runs"]))

    @property
    def variants(self) -> list[str]:
        """Variants in the order of the configuration."""
        return list(dict.fromkeys(run["variant"] for run in self.plan["runs"]))

    def label(self, variant: str) -> str:
        """How a variant is written for people."""
        return next(r["label"] for r in self.plan["runs"] if r["variant"] == variant)

    def runs(self, *, subject: str | None = None, seed: int = 0) -> Iterator[dict[str, Any]]:
        """Runs of one seed, of one subject or all."""
        for run in self.plan["runs"]:
            if run["seed"] == seed and subject in (None, run["subject"]):
                yield run

    def array(self, run: dict[str, Any], name: str) -> NDArray[Any]:
        """An array that the run predicted."""
        return read_array(self.folder / run["place"] / "predictions" / f"{name}.npy")

    def has_array(self, run: dict[str, Any], name: str) -> bool:
        """Whether the run predicted such an array."""
        return (self.folder / run["place"] / "predictions" / f"{name}.npy").is_file()

    def log(self, run: dict[str, Any]) -> pd.DataFrame:
        """The run's training log."""
        return pd.read_csv(self.folder / run["place"] / "log.csv")

    def predicted_curves(self, run: dict[str, Any], name: str) -> pd.DataFrame:
        """Curves over `step` that theory predicted for the run."""
        return pd.read_csv(self.folder / run["place"] / "predictions" / f"{name}.csv")

    def value(self, run: dict[str, Any], metric: str, split: str | None = None) -> float:
        """One number of one run; NaN where it was not measured."""
        of_run = self.metrics[
            (self.metrics["subject"] == run["subject"])
            & (self.metrics["variant"] == run["variant"])
            & (self.metrics["seed"] == run["seed"])
            & (self.metrics["metric"] == metric)
        ]
        if split is not None:
            of_run = of_run[of_run["split"] == split]
        return float(of_run["value"].iloc[0]) if len(of_run) else float("nan")

    def mean(self, variant: str, metric: str, split: str) -> float:
        """The mean of a variant's numbers over subjects and seeds."""
        rows = self.metrics[
            (self.metrics["variant"] == variant)
            & (self.metrics["metric"] == metric)
            & (self.metrics["split"] == split)
        ]
        return float(rows["value"].mean())


def psnr(mean_squared_error: Any) -> NDArray[np.floating] | np.floating:
    """-10 log10 of logged errors in [0, 1] units."""
    return -10 * np.log10(np.maximum(np.asarray(mean_squared_error, dtype=float), 1e-12))
