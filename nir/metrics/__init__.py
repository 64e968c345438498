"""Metrics, each a named variant; there is no default.

`METRICS` is the only list of them. A metric takes (prediction, reference) as arrays of equal shape.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nir.errors import unknown_name


@dataclass(frozen=True)
class Metric:
    """Where a metric lives ("module:function"), its unit, and whether more is better."""

    function: str
    unit: str
    higher_is_better: bool
    needs_weights: bool = False

    def __call__(
        self,
        prediction: NDArray[np.floating],
        reference: NDArray[np.floating],
        *,
        weights_folder: Path | None = None,
    ) -> float:
        """Compute the metric; `weights_folder` is for those that need a trained network."""
        module, _, name = self.function.partition(":")
        function: Callable[..., float] = getattr(importlib.import_module(module), name)
        if self.needs_weights:
            return function(prediction, reference, weights_folder=weights_folder)
        return function(prediction, reference)


METRICS = {
    "psnr_8bit": Metric("nir.metrics.image:psnr_8bit", "dB", True),
    "psnr_float": Metric("nir.metrics.image:psnr_float", "dB", True),
    "ssim_tf": Metric("nir.metrics.image:ssim_tf", "1", True),
    "ssim_skimage_gauss_r2": Metric("nir.metrics.image:ssim_skimage_gauss_r2", "1", True),
    "ssim_skimage_box7_r1": Metric("nir.metrics.image:ssim_skimage_box7_r1", "1", True),
    "lpips_vgg": Metric("nir.metrics.perceptual:lpips_vgg", "1", False, needs_weights=True),
    "lpips_alex": Metric("nir.metrics.perceptual:lpips_alex", "1", False, needs_weights=True),
    "relative_rmse": Metric("nir.metrics.image:relative_rmse", "1", False),
    "chamfer_l1_of_size": Metric("nir.metrics.oriented_clouds:chamfer_l1_of_size", "1", False),
    "normal_agreement": Metric("nir.metrics.oriented_clouds:normal_agreement", "1", True),
    "audio_mse": Metric("nir.metrics.recordings:audio_mse", "1", False),
    "signal_to_noise": Metric("nir.metrics.recordings:signal_to_noise", "dB", True),
    "psnr_frames_mean": Metric("nir.metrics.recordings:psnr_frames_mean", "dB", True),
    "psnr_frames_deviation": Metric("nir.metrics.recordings:psnr_frames_deviation", "dB", False),
}

# Numbers that a run tells of itself; for sorting and arrows in tables.
LOWER_IS_BETTER_NUMBERS = {"parameters", "stored_bytes"}


def metric_modules() -> list[str]:
    """The modules that compute metrics; a change in one of them makes numbers stale."""
    return sorted({entry.function.partition(":")[0] for entry in METRICS.values()})


def metric(name: str) -> Metric:
    """Return a metric by name, or an error that names the nearest known one."""
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]
