"""Metrics, each a named variant; there is no default.

`METRICS` is the only list of them. A metric takes (prediction, reference): arrays of equal shape,
or, where it compares surfaces, meshes and points (`metrics.shape`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nir.errors import unknown_name


@dataclass(frozen=True)
class Metric:
    """Where a metric lives ("module:function"), its unit, and whether more is better.

    compares: "arrays", which must agree in shape, "surfaces", or "curves" over training.
    """

    function: str
    unit: str
    higher_is_better: bool
    needs_weights: bool = False
    compares: str = "arrays"

    def __call__(
        self,
        prediction: Any,
        reference: Any,
        *,
        weights_folder: Path | None = None,
    ) -> float:
        """Compute the metric; `weights_folder` is for those that need a trained network."""
        module, _, name = self.function.partition(":")
        function: Callable[..., float] = getattr(importlib.import_module(module), name)
        if self.needs_weights:
            return function(prediction, reference, weights_folder=weights_folder)
        return function(prediction, reference)


def _surface_metric(name: str, unit: str, higher_is_better: bool) -> Metric:
    return Metric(f"nir.metrics.shape:{name}", unit, higher_is_better, compares="surfaces")


def _curve_metric(name: str) -> Metric:
    return Metric(f"nir.metrics.curves:{name}", "1", False, compares="curves")


METRICS = {
    "psnr_8bit": Metric("nir.metrics.image:psnr_8bit", "dB", True),
    "psnr_float": Metric("nir.metrics.image:psnr_float", "dB", True),
    "ssim_tf": Metric("nir.metrics.image:ssim_tf", "1", True),
    "ssim_skimage_gauss_r2": Metric("nir.metrics.image:ssim_skimage_gauss_r2", "1", True),
    "ssim_skimage_box7_r1": Metric("nir.metrics.image:ssim_skimage_box7_r1", "1", True),
    "lpips_vgg": Metric("nir.metrics.perceptual:lpips_vgg", "1", False, needs_weights=True),
    "lpips_alex": Metric("nir.metrics.perceptual:lpips_alex", "1", False, needs_weights=True),
    "gradient_psnr": Metric("nir.metrics.image:gradient_psnr", "dB", True),
    "iou_points": Metric("nir.metrics.occupancy:iou_points", "1", True),
    "mse": Metric("nir.metrics.image:mean_squared_error", "1", False),
    "deviation_of_start": _curve_metric("deviation_of_start"),
    "mean_log_ratio": _curve_metric("mean_log_ratio"),
    "relative_rmse": Metric("nir.metrics.image:relative_rmse", "1", False),
    "median_relative_depth_error": Metric(
        "nir.metrics.image:median_relative_depth_error", "1", False
    ),
    "audio_mse": Metric("nir.metrics.recordings:audio_mse", "1", False),
    "signal_to_noise": Metric("nir.metrics.recordings:signal_to_noise", "dB", True),
    "psnr_frames_mean": Metric("nir.metrics.recordings:psnr_frames_mean", "dB", True),
    "psnr_frames_deviation": Metric("nir.metrics.recordings:psnr_frames_deviation", "dB", False),
    "iou_volume": _surface_metric("iou_volume", "1", True),
    "chamfer_l1": _surface_metric("chamfer_l1", "edge/10", False),
    "chamfer_l2_sum": _surface_metric("chamfer_l2_sum", "1e-3", False),
    "normal_consistency": _surface_metric("normal_consistency", "1", True),
    "f_score": _surface_metric("f_score", "1", True),
    "mesh_accuracy": _surface_metric("mesh_accuracy", "1", False),
    "mesh_completion": _surface_metric("mesh_completion", "1", True),
    "earth_movers": _surface_metric("earth_movers", "1", False),
    "failed": _surface_metric("failed", "1", False),
}

METRIC_MODULES = tuple(sorted({entry.function.partition(":")[0] for entry in METRICS.values()}))
"""All modules whose code decides a metric's value."""


def metric(name: str) -> Metric:
    """Return a metric by name, or an error that names the nearest known one."""
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    return METRICS[name]
