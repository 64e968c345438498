"""Figures: the names that config.yaml uses, and how a figure reaches the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from nir.errors import unknown_name
from nir.files import remove_leftovers, written_whole
from nir.reporting.drawings import (
    cameras,
    curves,
    equations,
    frame_rates,
    inpainting,
    kernels,
    meshes,
    pictures,
    planes,
    reconstructed_shapes,
    reconstructions,
    recordings,
    scenes,
    shapes,
    signals,
    surfaces,
    views,
)
from nir.reporting.results import Results
from nir.reporting.style import STYLE

FIGURES: dict[str, Callable[[Results], Figure]] = {
    "bandwidth": curves.bandwidth,
    "cameras": cameras.cameras,
    "completed_photo": inpainting.completed_photo,
    "completions": inpainting.completions,
    "basis_functions": planes.basis_functions,
    "bandwidth_choice": curves.bandwidth_choice,
    "bandwidth_scatter": signals.bandwidth_scatter,
    "bump_places": signals.bump_places,
    "complex_planes": equations.complex_planes,
    "composition": pictures.composition,
    "curves": curves.curves,
    "derivative_fits": pictures.derivative_fits,
    "decision_or_distance": shapes.decision_or_distance,
    "derivatives": pictures.derivatives,
    "distances": surfaces.distances,
    "empirical_kernels": kernels.empirical_kernels,
    "frame_rates": frame_rates.frame_rates,
    "frames": recordings.frames,
    "images": pictures.images,
    "kernel_matrices": kernels.kernel_matrices,
    "kernel_rows": kernels.kernel_rows,
    "kernel_spreading": kernels.kernel_spreading,
    "layers": curves.layers,
    "light_of_points": scenes.light_of_points,
    "morphs": shapes.morphs,
    "portraits": shapes.portraits,
    "positional_encoding": scenes.positional_encoding,
    "media": equations.media,
    "quality_bars": planes.quality_bars,
    "quality_for_angle": planes.quality_for_angle,
    "quality_for_coefficients": planes.quality_for_coefficients,
    "meshes": meshes.meshes,
    "quality_for_bytes": curves.quality_for_bytes,
    "quality_for_evaluations": scenes.quality_for_evaluations,
    "generated_shapes": reconstructed_shapes.generated_shapes,
    "reconstructed_shapes": reconstructed_shapes.reconstructed_shapes,
    "representation_power": reconstructed_shapes.representation_power,
    "reconstruction_curves": reconstructions.reconstruction_curves,
    "reconstructions": reconstructions.reconstructions,
    "samples_on_a_ray": scenes.samples_on_a_ray,
    "sections": views.sections,
    "shape_memory": shapes.shape_memory,
    "shape_resolutions": shapes.shape_resolutions,
    "sounds": recordings.sounds,
    "sparse_embedding": curves.sparse_embedding,
    "spectrum_choice": signals.spectrum_choice,
    "tested_views": views.tested_views,
    "training_dynamics": kernels.training_dynamics,
    "turned_scenes": signals.turned_scenes,
    "views": scenes.views,
    "wave_angles": signals.wave_angles,
    "waves": equations.waves,
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
            remove_leftovers(path)
    plt.close(drawn)
