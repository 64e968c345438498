"""Benchmark: baked planes drawn by PyTorch, at the paper's frame and number of planes.

    python -m benchmarks baked_planes [--device cuda] [--threads 1] [--width 1008] [--height 756]
        [--planes 192] [--planes-per-group 12] [--margin 200] [--coefficients 8] [--seconds 3]
        [--network] [--json FILE]

The scene is made up: smooth random pictures, on each plane a share of the frame is covered, as
where a surface passes through it, and the last plane is opaque, so that every ray ends. With
--network a field of the paper's size is rendered, too, at the same frame. A processor draws the
paper's frame slowly; give it a smaller one, and the file says which.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.machine import describe
from nir.files import write_json
from nir.geometry.cameras import Cameras, Intrinsics
from nir.operators.planes import PlaneStack, plane_depths
from nir.recipes.nex import NexRecipe
from nir.tasks.nex import field_for
from nir.tasks.nex_predictions import render_planes
from nir.viewers.planes.baked import BakedPlanes, BakeSettings, bake
from nir.viewers.planes.rendering import BakedRenderer
from nir.viewers.planes.textures import PlaneTextures

CELLS_ACROSS = 12
"""Of the noise that decides what a plane covers."""


def made_up_textures(stack: PlaneStack, coefficients: int) -> PlaneTextures:
    """Pictures that change smoothly; a plane covers what lies near a wavy depth."""
    generator = torch.Generator().manual_seed(0)
    size = (stack.intrinsics.height, stack.intrinsics.width)

    def noise(*channels: int) -> torch.Tensor:
        coarse = torch.rand(
            1, int(np.prod(channels)), CELLS_ACROSS, CELLS_ACROSS, generator=generator
        )
        fine = F.interpolate(coarse, size, mode="bicubic", align_corners=False)
        return fine[0].clamp(0, 1).reshape(*channels, *size)

    surface = noise(1)[0] * (stack.planes - 1)
    alpha = np.stack(
        [
            ((1.5 - (surface - plane).abs()).clamp(0, 1) * 255).to(torch.uint8).numpy()
            for plane in range(stack.planes)
        ]
    )
    alpha[-1] = 255
    groups = range(stack.groups)
    base = np.stack([(noise(3).movedim(0, -1) * 255).to(torch.uint8).numpy() for _ in groups])
    turning = np.stack(
        [(noise(coefficients, 3).movedim(1, -1) - 0.5).half().numpy() for _ in groups]
    )
    return PlaneTextures(stack=stack, alpha=alpha, base_colour=base, coefficients=turning)


def views_before(image: Intrinsics) -> Cameras:
    """Cameras side by side, a little apart."""
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, 0, 3] = np.linspace(-0.05, 0.05, 5)
    return Cameras(poses, image)


def rate(draw: Callable[[int], object], device: torch.device, seconds: float) -> float:
    """Frames a second, of the median frame."""
    measured: list[float] = []
    draw(0)
    while len(measured) < 3 or sum(measured) < seconds:
        _wait(device)
        began = time.perf_counter()
        draw(len(measured) % 5)
        _wait(device)
        measured.append(time.perf_counter() - began)
    return 1 / statistics.median(measured)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(options: argparse.Namespace) -> dict:
    """Bake the scene, then draw it in every way."""
    device = torch.device(options.device)
    image = Intrinsics.centred(options.width, options.height, focal=0.9 * options.width)
    stack = PlaneStack.around(
        np.eye(4),
        image,
        plane_depths(options.planes, near=1.0, far=10.0),
        margin=options.margin,
        planes_per_group=options.planes_per_group,
    )
    views = views_before(image)
    basis = _made_up_basis(options.coefficients)
    began = time.perf_counter()
    baked = bake(
        made_up_textures(stack, options.coefficients), basis, views, BakeSettings(), device=device
    )
    result = {
        "machine": describe(device),
        "frame": [options.width, options.height],
        "planes": options.planes,
        "kept_planes": len(baked.kept),
        "baking_seconds": time.perf_counter() - began,
        "share_of_plain_layout": baked.share_of_plain_layout,
        "texture_megabytes": baked.texture_bytes / 2**20,
        "frames_per_second": _rates(baked, views, device, options.seconds),
    }
    if options.network:
        result["frames_per_second"]["network"] = _rate_of_network(stack, views, options)
    return result


def _made_up_basis(count: int) -> Callable[[torch.Tensor], torch.Tensor]:
    frequencies = torch.randn(3, count, generator=torch.Generator().manual_seed(1))
    return lambda directions: torch.sin(3 * directions @ frequencies.to(directions))


def _rates(
    baked: BakedPlanes, views: Cameras, device: torch.device, seconds: float
) -> dict[str, float]:
    ways = {"pytorch": False}
    if BakedRenderer(baked, device=device).fused:
        ways["one_kernel"] = True
    rates = {}
    for way, fused in ways.items():
        renderer = BakedRenderer(baked, device=device, fused=fused)
        rates[way] = rate(
            lambda view, r=renderer: r.render(views.camera_to_world[view], views.intrinsics),
            device,
            seconds,
        )
    return rates


def _rate_of_network(stack: PlaneStack, views: Cameras, options: argparse.Namespace) -> float:
    device = torch.device(options.device)
    recipe = NexRecipe(
        planes=options.planes,
        planes_per_group=options.planes_per_group,
        coefficients=options.coefficients,
        margin=options.margin,
    )
    field = field_for(recipe, stack, torch.Generator().manual_seed(0)).to(device)
    return rate(lambda view: render_planes(field, views, view), device, options.seconds)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="baked planes, frames a second")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--width", type=int, default=1008)
    parser.add_argument("--height", type=int, default=756)
    parser.add_argument("--planes", type=int, default=192)
    parser.add_argument("--planes-per-group", type=int, default=12)
    parser.add_argument("--margin", type=int, default=200)
    parser.add_argument("--coefficients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--network", action="store_true", help="render by networks, too")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, print, and keep the result if asked."""
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    result = measure(options)
    width, height = result["frame"]
    print(f"{width} x {height}, {result['kept_planes']} of {result['planes']} planes")
    for way, value in result["frames_per_second"].items():
        print(f"{way:12} {value:10.2f} frames/s")
    share = 100 * result["share_of_plain_layout"]
    print(f"{result['texture_megabytes']:.1f} MB of textures, {share:.0f} % of the plain layout")
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
