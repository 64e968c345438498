"""Rendering that a grid guides: one pass, sampled where the field itself is known to be dense.

NeRF's first pass asks a second field on every ray where the seen one should be asked. Once the
seen field is trained, a grid of its own density tells that without any network, and more sharply,
so that a few samples do where the second pass takes many. What results is not the papers' picture
to the last bit: numbers of tables are made with both passes, films with this one.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from nir.geometry.rays import Rays
from nir.geometry.sampling import importance_samples, midpoints, sorted_union, stratified_samples
from nir.operators.occupancy import OccupancyGrid
from nir.operators.volume import (
    RadianceField,
    RenderedImage,
    Rendering,
    RenderSettings,
    composite,
    image_in_chunks,
    interval_lengths,
    radiance_where_seen,
    weights_from_density,
)

GUIDE_INTERVALS = 256
"""In so many intervals of a ray the grid is looked up: they are shorter than its cells."""

GUIDED_SAMPLES = 32
"""So many samples of a ray follow the grid: a quarter of what NeRF's second pass adds.

Lego at 100 x 100 pixels: PSNR of test views changes by less than 0.04 dB; with 48, by 0.025 dB.
"""


def guided_depths(
    rays: Rays, settings: RenderSettings, grid: OccupancyGrid, *, guided: int = GUIDED_SAMPLES
) -> Float[Tensor, "rays samples"]:
    """Depths at which to ask the grid's field: even ones, and where its light comes from.

    The even ones, as many as NeRF's first pass has, find what is too thin for the grid; `guided`
    others follow the weights of the density that the grid remembers.
    """
    bound = torch.ones_like(rays.origins[:, 0])

    def evenly(count: int) -> Tensor:
        return stratified_samples(
            settings.near * bound,
            settings.far * bound,
            count,
            linear_in_disparity=settings.linear_in_disparity,
        )

    edges = evenly(GUIDE_INTERVALS + 1)
    lengths = interval_lengths(edges, rays.directions)[:, :-1]
    weights = weights_from_density(grid.density_at(rays.points(midpoints(edges))), lengths)
    added = importance_samples(edges, weights, guided)
    return sorted_union(evenly(settings.coarse_samples), added)


def render_rays_guided(
    field: RadianceField,
    rays: Rays,
    settings: RenderSettings,
    grid: OccupancyGrid,
    *,
    guided: int = GUIDED_SAMPLES,
) -> Rendering:
    """Render a list of rays in one pass, without randomness; `grid` was made from `field`."""
    depths = guided_depths(rays, settings, grid, guided=guided)
    points = rays.points(depths)
    rgb, density = radiance_where_seen(
        field,
        points,
        rays.view_directions,
        interval_lengths(depths, rays.directions),
        occupied=grid.contains(points),
        least_transmittance=settings.least_transmittance,
    )
    return composite(rgb, density, depths, rays.directions, background=settings.background)


@torch.no_grad()
def render_image_guided(
    field: RadianceField,
    rays: Rays,
    settings: RenderSettings,
    grid: OccupancyGrid,
    *,
    guided: int = GUIDED_SAMPLES,
) -> RenderedImage:
    """Render the rays (height, width) of a view in bounded memory."""
    return image_in_chunks(
        lambda chunk: render_rays_guided(field, chunk, settings, grid, guided=guided),
        rays,
        samples_per_ray=settings.coarse_samples + guided,
    )
