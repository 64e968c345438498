"""Volume rendering: the operator that turns a field of colour and density into the light of rays.

A **field** is any callable `field(points, view_directions) -> (rgb, density)`: points
[rays samples 3] and unit view directions that broadcast against them ([rays 1 3]), or both as
lists [points 3] when empty space is skipped; rgb in [0, 1] and *raw* density of the same leading
shape as the points (it is rectified here, because noise is added before).
Vocabulary: **alpha** is what one interval absorbs, **transmittance** what reaches it,
**weight** = transmittance x alpha, **opacity** the sum of a ray's weights.
NeRF, section 4 and 5.2; Max 1995.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from nir.errors import InputError
from nir.geometry.rays import Rays
from nir.geometry.sampling import fine_samples, stratified_samples
from nir.memory import is_out_of_memory
from nir.operators.occupancy import OccupancyGrid, OccupancyGrids

RadianceField = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

LAST_INTERVAL = 1e10
"""The last sample stands for all that lies behind it (run_nerf.py, raw2outputs)."""


def interval_lengths(
    depths: Float[Tensor, "rays samples"],
    directions: Float[Tensor, "rays 3"],
    *,
    last: float = LAST_INTERVAL,
) -> Float[Tensor, "rays samples"]:
    """Distance from each sample to the next, in scene units; the last one is `last` units of t.

    Directions are not of unit length, so steps of t are multiplied by |d|.
    """
    steps = torch.diff(depths, dim=-1)
    steps = torch.cat([steps, torch.full_like(steps[:, :1], last)], dim=-1)
    return steps * torch.linalg.vector_norm(directions, dim=-1, keepdim=True)


def alpha_from_density(
    density: Float[Tensor, "rays samples"], lengths: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    """alpha = 1 - exp(-relu(density) · length): the share of light an interval absorbs."""
    return -torch.expm1(-torch.relu(density) * lengths)


def transmittance_from_density(
    density: Float[Tensor, "rays samples"], lengths: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    """T_i = exp(-Σ_{j<i} density_j · length_j): the share of light that reaches each interval.

    A sum of exponents rather than a product of (1 - alpha): exact where all is absorbed, and its
    gradient is finite there.
    """
    thickness = torch.relu(density[:, :-1]) * lengths[:, :-1]
    before = torch.cat([torch.zeros_like(density[:, :1]), torch.cumsum(thickness, dim=-1)], dim=-1)
    return torch.exp(-before)


def weights_from_density(
    density: Float[Tensor, "rays samples"], lengths: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    """w_i = T_i · alpha_i (NeRF, equations 3 and 5): what each sample adds to its ray.

    >>> weights_from_density(torch.full((1, 3), 0.6931472), torch.ones(1, 3))
    tensor([[0.5000, 0.2500, 0.1250]])
    """
    transmittance = transmittance_from_density(density, lengths)
    return transmittance * alpha_from_density(density, lengths)


@dataclass(frozen=True)
class Rendering:
    """What volume rendering says of rays: colour, opacity, expected depth, and how it came about.

    `depth` is Σ w·t as in NeRF (not divided by the opacity), `disparity` opacity / depth (0 where
    nothing is met). `weights` belong to the samples at `depths`.
    """

    colour: Float[Tensor, "rays 3"]
    opacity: Float[Tensor, " rays"]
    depth: Float[Tensor, " rays"]
    disparity: Float[Tensor, " rays"]
    weights: Float[Tensor, "rays samples"]
    depths: Float[Tensor, "rays samples"]


def composite(
    rgb: Float[Tensor, "rays samples 3"],
    density: Float[Tensor, "rays samples"],
    depths: Float[Tensor, "rays samples"],
    directions: Float[Tensor, "rays 3"],
    *,
    background: float | None = None,
) -> Rendering:
    """Add up the samples of rays: C = Σ w c (NeRF, equation 3).

    `background` (1 for white) is seen through what is left of the light; None is black.
    """
    weights = weights_from_density(density, interval_lengths(depths, directions))
    opacity = weights.sum(-1)
    colour = (weights[..., None] * rgb).sum(-2)
    if background is not None:
        colour = colour + background * (1 - opacity[..., None])
    depth = (weights * depths).sum(-1)
    tiny = torch.finfo(depth.dtype).tiny
    disparity = opacity / torch.maximum(depth, 1e-10 * opacity).clamp_min(tiny)
    return Rendering(colour, opacity, depth, disparity, weights, depths)


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """How rays are sampled and composited. Defaults are NeRF's for the synthetic scenes.

    near, far: bounds of t on every ray (0 and 1 in NDC).
    """

    near: float = 2.0  # paper_configs/blender_config.txt
    far: float = 6.0
    coarse_samples: int = 64  # NeRF, section 5.3
    fine_samples: int = 128  # NeRF, section 5.3: additional to the coarse ones; 0 = one pass
    linear_in_disparity: bool = False
    raw_noise_std: float = 0.0  # 1 when training on LLFF scenes, 0 on synthetic ones and at test
    background: float | None = 1.0
    least_transmittance: float = 1e-3  # with an occupancy grid: beyond this, a ray has ended

    def __post_init__(self) -> None:
        if not self.near < self.far:
            raise InputError(f"near {self.near} and far {self.far}: near must be less than far")

    @property
    def samples_per_ray(self) -> int:
        """Samples of the larger pass."""
        return self.coarse_samples + self.fine_samples


@dataclass(frozen=True)
class HierarchicalRendering:
    """Both passes of NeRF; `fine` is None where there was only one."""

    coarse: Rendering
    fine: Rendering | None

    @property
    def final(self) -> Rendering:
        """The better of both: the fine pass where there is one."""
        return self.coarse if self.fine is None else self.fine


def render_rays(
    field_coarse: RadianceField,
    field_fine: RadianceField | None,
    rays: Rays,
    settings: RenderSettings,
    *,
    generator: Generator | None = None,
    occupancy: OccupancyGrids | None = None,
) -> HierarchicalRendering:
    """Render a list of rays as NeRF does: evenly, then again where the first pass saw something.

    With a generator samples are jittered and density gets noise (training); without, nothing is
    random and no noise is added (test). `field_fine` None uses the coarse field for both passes.
    `occupancy` skips samples in empty cells and behind what is opaque.
    """
    bound = torch.ones_like(rays.origins[:, 0])
    depths = stratified_samples(
        settings.near * bound,
        settings.far * bound,
        settings.coarse_samples,
        generator=generator,
        linear_in_disparity=settings.linear_in_disparity,
    )
    grid_coarse, grid_fine = occupancy or (None, None)
    coarse = _render_pass(field_coarse, rays, depths, settings, generator, grid_coarse)
    if settings.fine_samples == 0:
        return HierarchicalRendering(coarse, None)
    depths = fine_samples(
        depths, coarse.weights.detach(), settings.fine_samples, generator=generator
    )
    field = field_coarse if field_fine is None else field_fine
    return HierarchicalRendering(
        coarse, _render_pass(field, rays, depths, settings, generator, grid_fine)
    )


def _render_pass(
    field: RadianceField,
    rays: Rays,
    depths: Float[Tensor, "rays samples"],
    settings: RenderSettings,
    generator: Generator | None,
    occupancy: OccupancyGrid | None,
) -> Rendering:
    points = rays.points(depths)
    if occupancy is None:
        rgb, density = field(points, rays.view_directions[:, None])
    else:
        lengths = interval_lengths(depths, rays.directions)
        rgb, density = radiance_where_seen(
            field,
            points,
            rays.view_directions,
            lengths,
            occupied=occupancy.contains(points),
            least_transmittance=settings.least_transmittance,
        )
    if generator is not None and settings.raw_noise_std > 0:
        noise = torch.randn(
            density.shape, generator=generator, dtype=density.dtype, device=density.device
        )
        density = density + settings.raw_noise_std * noise
    return composite(rgb, density, depths, rays.directions, background=settings.background)


def radiance_where_seen(
    field: RadianceField,
    points: Float[Tensor, "rays samples 3"],
    view_directions: Float[Tensor, "rays 3"],
    lengths: Float[Tensor, "rays samples"],
    *,
    occupied: Bool[Tensor, "rays samples"],
    least_transmittance: float,
    samples_at_once: int = 8,
) -> tuple[Float[Tensor, "rays samples 3"], Float[Tensor, "rays samples"]]:
    """Evaluate a field front to back, only where space is occupied and light still arrives.

    Rays end when less than `least_transmittance` is left, which bounds the error of a colour by
    that much. The last sample of a ray stands for all behind it and is never counted empty.
    """
    rgb, density = torch.zeros_like(points), torch.zeros_like(points[..., 0])
    occupied = occupied.clone()
    occupied[:, -1] = True
    transmittance = torch.ones_like(density[:, :1])
    for first in range(0, points.shape[1], samples_at_once):
        part = slice(first, first + samples_at_once)
        asked = occupied[:, part] & (transmittance > least_transmittance)
        ray, sample = asked.nonzero(as_tuple=True)
        if len(ray) == 0:
            continue
        found = field(points[ray, sample + first], view_directions[ray])
        rgb[ray, sample + first], density[ray, sample + first] = (
            found[0].to(rgb.dtype),
            found[1].to(density.dtype),
        )
        thickness = torch.relu(density[:, part]) * lengths[:, part]
        transmittance = transmittance * torch.exp(-thickness.sum(-1, keepdim=True))
    return rgb, density


@dataclass(frozen=True)
class RenderedImage:
    """One rendered view, on the CPU; see `Rendering` for what each quantity is."""

    colour: Float[Tensor, "height width 3"]
    opacity: Float[Tensor, "height width"]
    depth: Float[Tensor, "height width"]
    disparity: Float[Tensor, "height width"]


@torch.no_grad()
def render_image(
    field_coarse: RadianceField,
    field_fine: RadianceField | None,
    rays: Rays,
    settings: RenderSettings,
    *,
    occupancy: OccupancyGrids | None = None,
    rays_at_once: int | None = None,
) -> RenderedImage:
    """Render the rays (height, width) of a view, without randomness; see `image_in_chunks`."""
    return image_in_chunks(
        lambda chunk: (
            render_rays(field_coarse, field_fine, chunk, settings, occupancy=occupancy).final
        ),
        rays,
        samples_per_ray=settings.samples_per_ray,
        rays_at_once=rays_at_once,
    )


def image_in_chunks(
    render: Callable[[Rays], Rendering],
    rays: Rays,
    *,
    samples_per_ray: int,
    rays_at_once: int | None = None,
) -> RenderedImage:
    """Render the rays (height, width) of a view in bounded memory.

    Rays are rendered in chunks, and each chunk's result leaves the device at once. When
    `rays_at_once` is None, chunks start at 2^17 samples on a CPU and 2^20 on a GPU. A chunk that
    does not fit in memory is halved, and stays so.
    """
    if rays_at_once is None:
        samples = 2**17 if rays.origins.device.type == "cpu" else 2**20
        rays_at_once = max(1, samples // samples_per_ray)
    parts = _in_chunks(render, rays.flat(), rays_at_once)
    names = [field.name for field in fields(RenderedImage)]
    return RenderedImage(
        **{
            name: torch.cat([part[name] for part in parts]).reshape(
                *rays.shape, *parts[0][name].shape[1:]
            )
            for name in names
        }
    )


def _in_chunks(
    render: Callable[[Rays], Rendering], rays: Rays, size: int
) -> list[dict[str, Tensor]]:
    """Render `rays` piece by piece; pieces are halved as often as memory demands."""
    parts: list[dict[str, Tensor]] = []
    first = 0
    while first < len(rays):
        try:
            rendering = render(rays[first : first + size])
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not is_out_of_memory(error):
                raise
            size = min(size, len(rays) - first) // 2 or 1
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        names = [field.name for field in fields(RenderedImage)]
        parts.append({name: getattr(rendering, name).cpu() for name in names})
        first += size
    return parts
