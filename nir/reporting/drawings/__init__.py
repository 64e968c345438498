"""Drawings, a module for each kind of content; config.yaml names their functions as `figures`."""

from __future__ import annotations

from nir.errors import unknown_name

FIGURES = {
    "bandwidth": "curves",
    "bandwidth_choice": "curves",
    "bandwidth_scatter": "signals",
    "basis_functions": "planes",
    "bump_places": "signals",
    "cameras": "cameras",
    "completed_photo": "inpainting",
    "completions": "inpainting",
    "complex_planes": "equations",
    "composition": "pictures",
    "curves": "curves",
    "decision_or_distance": "shapes",
    "derivative_fits": "pictures",
    "derivatives": "pictures",
    "distances": "surfaces",
    "empirical_kernels": "kernels",
    "frame_rates": "frame_rates",
    "frames": "recordings",
    "generated_shapes": "reconstructed_shapes",
    "images": "pictures",
    "kernel_matrices": "kernels",
    "kernel_rows": "kernels",
    "kernel_spreading": "kernels",
    "layers": "curves",
    "light_of_points": "scenes",
    "media": "equations",
    "meshes": "meshes",
    "morphs": "shapes",
    "portraits": "shapes",
    "positional_encoding": "scenes",
    "quality_bars": "planes",
    "quality_for_angle": "planes",
    "quality_for_bytes": "curves",
    "quality_for_coefficients": "planes",
    "quality_for_evaluations": "scenes",
    "reconstructed_shapes": "reconstructed_shapes",
    "reconstruction_curves": "reconstructions",
    "reconstructions": "reconstructions",
    "representation_power": "reconstructed_shapes",
    "samples_on_a_ray": "scenes",
    "sections": "views",
    "shape_memory": "shapes",
    "shape_resolutions": "shapes",
    "sounds": "recordings",
    "sparse_embedding": "curves",
    "spectrum_choice": "signals",
    "tested_views": "views",
    "training_dynamics": "kernels",
    "turned_scenes": "signals",
    "views": "scenes",
    "wave_angles": "signals",
    "waves": "equations",
}
"""By figure: the module here that draws it, in a function of the figure's name."""


def module_of_figure(figure: str) -> str:
    """The full name of the module; for an unknown figure an `InputError` that names the nearest."""
    if figure not in FIGURES:
        raise unknown_name("figure", figure, FIGURES)
    return f"{__name__}.{FIGURES[figure]}"
