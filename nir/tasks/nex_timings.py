"""What is predicted of planes in real time: views and seconds of every way to draw them.

**network**: the main network is asked at every sample. **live_basis**: baked coefficients, the
basis network asked for every ray. **baked**: no network. **browser**: the same in WebGL2. **nerf**:
volume rendering with networks of the size of NeRF's paper. Speeds stand under a protocol that names
what was drawn and on what.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nir.fields.radiance import RadianceField
from nir.geometry.rays import Rays
from nir.operators.volume import RenderSettings, render_image
from nir.predictions import Number, Predictions
from nir.random import generator_for
from nir.recipes.nerf import LlffNerfRecipe
from nir.tasks.nerf_predictions import protocol_of
from nir.tasks.nex_predictions import render_planes
from nir.viewers.browser import why_absent
from nir.viewers.planes.baked import BakedPlanes, BakeSettings
from nir.viewers.planes.folder import read_baked
from nir.viewers.planes.in_browser import measure_in_browser
from nir.viewers.planes.of_field import basis_of
from nir.viewers.planes.of_run import write_viewer
from nir.viewers.planes.rendering import BakedRenderer

if TYPE_CHECKING:
    from nir.tasks.nex_real_time import RealTimeTask

METRICS = ("psnr_8bit", "ssim_tf")
BROWSER_VIEWS = 2
TURNS = 5
"""In which the ways to draw are timed, so that they can be compared."""


@dataclass(frozen=True)
class Timings:
    """Collects speeds of one frame size."""

    predictions: Predictions
    frame: str

    def add(self, way: str, seconds: float, device: str) -> None:
        """Seconds a frame of one way to draw, and the same as a rate."""
        protocol = f"{self.frame}-{device}"
        for metric, value, unit in (
            ("seconds_a_frame", seconds, "s"),
            ("frames_per_second", 1 / seconds, "1/s"),
        ):
            self.predictions.numbers.append(
                Number(metric=metric, value=value, unit=unit, protocol=protocol, split=way)
            )


def predict_timings(task: RealTimeTask, out: Path) -> None:
    """Bake, draw the test views in every way, time each."""
    recipe, field = task.recipe, task.field
    predictions = Predictions(out, protocol_of(task.scene, recipe))
    image = task.scene.cameras.intrinsics
    timings = Timings(predictions, f"{image.width}x{image.height}-{recipe.planes}-planes")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        report = write_viewer(
            field,
            task.scene.cameras,
            Path(folder) / "viewer",
            name=task.scene.name,
            settings=BakeSettings(largest_page=recipe.largest_texture),
            resolution=recipe.resolution,
        )
        predictions.number("baking_seconds", time.perf_counter() - began, "s")
        baked = read_baked(report.folder)
        _tell_sizes(predictions, baked, report.bytes_on_disk)
        reference = _draw_and_time(task, baked, predictions, timings)
        if recipe.in_browser and not why_absent():
            _measure_browser(task, report.folder, reference, predictions, timings)
    timings.add("nerf", _seconds_of_nerf(task), _device_name(field.device))
    _tell_ratios(predictions)
    predictions.write()


def _tell_sizes(predictions: Predictions, baked: BakedPlanes, bytes_on_disk: int) -> None:
    predictions.number("texture_bytes", baked.texture_bytes, "byte")
    predictions.number("plain_bytes", baked.plain_bytes, "byte")
    predictions.number("bytes_on_disk", bytes_on_disk, "byte")
    predictions.number("share_of_plain_layout", baked.share_of_plain_layout, "1")
    predictions.number("kept_planes", len(baked.kept), "1")


def _draw_and_time(
    task: RealTimeTask, baked: BakedPlanes, predictions: Predictions, timings: Timings
) -> list[Float[np.ndarray, "height width 3"]]:
    """All test views by network, live basis and baked planes; returns the network's."""
    cameras, device = task.scene.cameras, task.field.device
    image = cameras.intrinsics
    baked_on = {"live_basis": (device, basis_of(task.field)), "baked": (device, None)}
    if device.type != "cpu":
        baked_on["baked_on_cpu"] = (torch.device("cpu"), None)
    ways: dict[str, tuple[Callable[[int], Tensor], torch.device]] = {
        "network": (lambda view: render_planes(task.field, cameras, view).colour, device)
    }
    for way, (where, basis) in baked_on.items():
        renderer = BakedRenderer(baked, device=where, basis=basis)
        ways[way] = (
            lambda view, r=renderer: r.render(cameras.camera_to_world[view], image),
            where,
        )
    shown: dict[str, list] = {}
    for way, (draw, _) in ways.items():
        pictures = [draw(int(view)).cpu().numpy() for view in task.scene.splits["test"]]
        shown[way] = pictures
        _compare(task, way, pictures, shown["network"], predictions)
    first = int(task.scene.splits["test"][0])
    timed = {way: (lambda d=draw: d(first), where) for way, (draw, where) in ways.items()}
    for way, seconds in seconds_a_frame(timed, at_least=task.recipe.timed_seconds).items():
        timings.add(way, seconds, _device_name(ways[way][1]))
    return shown["network"]


def _compare(
    task: RealTimeTask, way: str, pictures: list, network: list, predictions: Predictions
) -> None:
    """Put views beside the photographs, and beside what the network renders."""
    photographs = task.scene.images[task.scene.splits["test"]]
    for number, picture in enumerate(pictures):
        shown, photograph = _as_halves(picture), _as_halves(photographs[number])
        predictions.compare(f"{way}-{number:03d}", shown, photograph, metrics=METRICS, split=way)
        if way != "network":
            predictions.compare(
                f"{way}-against-network-{number:03d}",
                shown,
                _as_halves(network[number]),
                metrics=("psnr_8bit",),
                split=f"{way}_against_network",
            )


def _as_halves(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture, 0, 1).astype(np.float16)


def _measure_browser(
    task: RealTimeTask,
    folder: Path,
    network: list,
    predictions: Predictions,
    timings: Timings,
) -> None:
    views = task.scene.splits["test"][:BROWSER_VIEWS]
    poses = list(task.scene.cameras.camera_to_world[views])
    measured = measure_in_browser(
        folder, poses, task.field.stack, seconds=task.recipe.timed_seconds
    )
    _compare(task, "browser", measured.pictures, network, predictions)
    device = f"software-{_device_name(torch.device('cpu'))}" if measured.is_software else "gpu"
    timings.add("browser", measured.seconds_a_frame, f"chromium-{device}")


def _seconds_of_nerf(task: RealTimeTask) -> float:
    """A frame of NeRF by its paper's networks and samples; the weights do not matter for time.

    So many rays are timed as the recipe says, and counted up to a frame's.
    """
    recipe, device = LlffNerfRecipe(), task.field.device
    fields = [
        RadianceField(
            position_octaves=recipe.position_octaves,
            direction_octaves=recipe.direction_octaves,
            width=recipe.width,
            depth=recipe.depth,
            generator=generator_for(0, "nerf", number),
        ).to(device)
        for number in range(2)
    ]
    coarse, added = recipe.samples
    settings = RenderSettings(
        near=0.0, far=1.0, coarse_samples=coarse, fine_samples=added, background=None
    )
    count = task.recipe.nerf_rays
    axis = torch.tensor([0.0, 0.0, -1.0], device=device).expand(1, count, 3)
    rays = Rays(torch.zeros_like(axis), axis, axis)
    way = (lambda: render_image(fields[0], fields[1], rays, settings), device)
    seconds = seconds_a_frame({"nerf": way}, at_least=0.0)["nerf"]
    image = task.scene.cameras.intrinsics
    return seconds * image.width * image.height / count


def seconds_a_frame(
    ways: Mapping[str, tuple[Callable[[], object], torch.device]], *, at_least: float
) -> dict[str, float]:
    """Median time of a frame by each way to draw one, each for `at_least` seconds or once.

    After a frame for warmth they take turns: what else the machine does slows all alike.
    """
    for draw, device in ways.values():
        _seconds_of_frames(draw, device, 0)
    measured: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(TURNS if at_least else 1):
        for way, (draw, device) in ways.items():
            measured[way] += _seconds_of_frames(draw, device, at_least / TURNS)
    return {way: statistics.median(seconds) for way, seconds in measured.items()}


def _seconds_of_frames(
    draw: Callable[[], object], device: torch.device, at_least: float
) -> list[float]:
    """The time of each frame, drawn until they took so long together, at least of one."""
    measured: list[float] = []
    while not measured or sum(measured) < at_least:
        began = time.perf_counter()
        draw()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        measured.append(time.perf_counter() - began)
    return measured


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device).lower().replace(" ", "-")
    threads = torch.get_num_threads()
    return f"{platform.machine()}-cpu-{threads}-thread{'s' if threads > 1 else ''}"


def _tell_ratios(predictions: Predictions) -> None:
    """How many times as fast baked planes are drawn as the others."""
    seconds = {n.split: n for n in predictions.numbers if n.metric == "seconds_a_frame"}
    for other in ("network", "nerf"):
        predictions.numbers.append(
            Number(
                metric=f"times_as_fast_as_{other}",
                value=seconds[other].value / seconds["baked"].value,
                unit="1",
                protocol=seconds["baked"].protocol,
                split="baked",
            )
        )
