"""What is predicted of a scene: views beside the truth, depth, videos, a mesh, and looks inside.

Depth leaves this module in the units of the scene's files, along each camera's forward axis, also
where rays were sampled in NDC. Pictures are kept as half floats, which hold 8-bit values exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from nir.data.scenes import Scene
from nir.data.toy import read_truth
from nir.data.video import write_mp4
from nir.geometry.cameras import Cameras
from nir.geometry.paths import orbit_among, spiral
from nir.geometry.rays import Rays, depth_from_ndc, ndc_rays, rays_of_image
from nir.networks.mlp import parameter_count
from nir.operators.guided import render_image_guided
from nir.operators.occupancy import OccupancyGrid, OccupancyGrids, box_of_rays
from nir.operators.volume import RenderedImage, render_image
from nir.predictions import Predictions
from nir.recipes.nerf import NerfRecipe
from nir.recipes.nex import NexRecipe
from nir.tasks.nerf_surface import predict_surface

if TYPE_CHECKING:
    from nir.tasks.nerf import NearestViewTask, NerfTask
    from nir.tasks.scene_representation import SceneRepresentationTask

VIEW_METRICS = ("psnr_8bit", "ssim_tf", "ssim_skimage_gauss_r2", "gradient_psnr")
SYNTHETIC_SCENES = {"chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship"}
LLFF_SCENES = {"fern", "flower", "fortress", "horns", "leaves", "orchids", "room", "trex"}
SHINY_SCENES = {"cd", "crest", "food", "giants", "lab", "pasta", "seasoning", "tools"}
FRAMES_PER_SECOND = 24
KEPT_VIEWS = 4
"""So many views' depth and error are kept for figures; the metrics see all."""


def protocol_of(scene: Scene, recipe: NerfRecipe | NexRecipe) -> str:
    """The protocol of a scene's numbers: which pixels are compared with what."""
    width, height = scene.images.shape[2], scene.images.shape[1]
    tested = len(scene.splits["test"])
    if scene.layout == "blender" and scene.name in SYNTHETIC_SCENES:
        return f"nerf-synthetic-{width}-{recipe.background}-{tested}"
    if scene.layout == "llff" and scene.name in LLFF_SCENES:
        return f"llff-{recipe.shrink}-raw-hold8"
    if scene.layout == "llff" and scene.name.removesuffix("_undistorted") in LLFF_SCENES:
        return f"nex-llff-undist-{width}"
    if scene.layout == "spaces":
        return f"nex-spaces-{width}-{len(scene.splits['train'])}"
    if scene.layout == "llff" and scene.name in SHINY_SCENES:
        return f"nex-shiny-{width}"
    return f"{scene.name.replace('_', '-')}-{width}x{height}-{recipe.background}-{tested}"


class Renderer:
    """Renders views of a trained task, skipping what its own density says is empty."""

    def __init__(self, task: NerfTask) -> None:
        self.task, self.scene = task, task.scene
        self.device = task.field.restarts.device
        self.occupancy = self.occupied_cells() if task.recipe.skip_empty_space else None

    def rays(self, cameras: Cameras, view: int) -> tuple[Rays, Rays]:
        """A view's rays in the scene, and as they are sampled (in NDC or the same)."""
        rays = rays_of_image(cameras, view, device=self.device)
        return rays, ndc_rays(rays, cameras.intrinsics) if self.scene.ndc else rays

    def render(self, cameras: Cameras, view: int) -> RenderedImage:
        """Render one view."""
        field = self.task.field
        rays = self.rays(cameras, view)[1]
        return render_image(
            field.coarse, field.fine, rays, self.task.settings, occupancy=self.occupancy
        )

    def render_guided(self, cameras: Cameras, view: int) -> RenderedImage:
        """Render one view in a fraction of the time, if empty space may be skipped at all."""
        if self.occupancy is None:
            return self.render(cameras, view)
        rays = self.rays(cameras, view)[1]
        seen, grid = self.task.field.seen, self.occupancy.fine
        return render_image_guided(seen, rays, self.task.settings, grid)

    def depth(self, cameras: Cameras, view: int, rendered: RenderedImage) -> NDArray[np.float32]:
        """Expected depth of what each ray meets, in the units of the scene's files.

        NeRF's expected depth lacks what a ray misses; it is divided by the opacity here, so that
        edges and haze are not drawn towards the camera.
        """
        depth = rendered.depth / rendered.opacity.clamp_min(1e-3)
        if self.scene.ndc:
            depth = depth_from_ndc(depth, self.rays(cameras, view)[0].to("cpu"))
        return (depth.numpy() * self.scene.world_from_scene.scale).astype(np.float32)

    def box(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The box that holds all that the cameras can see, where rays are sampled."""
        views = range(len(self.scene.cameras))
        corners = [self.rays(self.scene.cameras, view)[1][:: self._last_row()] for view in views]
        parts = [part[:, :: part.shape[1] - 1].flat() for part in corners]
        rays = Rays(
            torch.cat([part.origins for part in parts]),
            torch.cat([part.directions for part in parts]),
            torch.cat([part.view_directions for part in parts]),
        )
        return box_of_rays(rays, self.task.settings.near, self.task.settings.far)

    def _last_row(self) -> int:
        return self.scene.cameras.intrinsics.height - 1

    def occupied_cells(self) -> OccupancyGrids:
        """Where each field holds anything."""
        field, box = self.task.field, self.box()
        resolution = self.task.recipe.occupancy_resolution
        coarse = OccupancyGrid.from_density(field.coarse.density, *box, resolution=resolution)
        if field.fine is None:
            return OccupancyGrids(coarse, coarse)
        fine = OccupancyGrid.from_density(field.fine.density, *box, resolution=resolution)
        return OccupancyGrids(coarse, fine)


def predict_scene(task: NerfTask, out: Path) -> None:
    """Write everything that a trained scene shows."""
    predictions = Predictions(out, protocol_of(task.scene, task.recipe))
    renderer = Renderer(task)
    _predict_views(task, predictions, renderer)
    recipe = task.recipe
    predictions.number("parameters", parameter_count(task.field), "1")
    predictions.number("evaluations_per_ray", recipe.evaluations_per_ray, "1")
    if renderer.occupancy is not None:
        predictions.number("occupied_share", renderer.occupancy.fine.occupied_share, "1")
    if recipe.inspected:
        from nir.tasks.nerf_inspection import inspect

        inspect(task, renderer, predictions)
    if recipe.meshed and not task.scene.ndc:
        predict_surface(task, renderer, predictions)
    if recipe.video_frames:
        write_videos(renderer, out, recipe.video_frames)
    predictions.write()


def predict_nearest_views(task: NearestViewTask, out: Path) -> None:
    """Write the nearest photograph for each test view."""
    predictions = Predictions(out, protocol_of(task.scene, task.recipe))
    truth = truth_of(task)
    for number, view in enumerate(task.scene.splits["test"]):
        found = task.scene.images[task.nearest(int(view))]
        compare_view(predictions, number, found, task, truth)
    predictions.number("parameters", 0, "1")
    predictions.write()


def compare_view(
    predictions: Predictions,
    number: int,
    predicted: Float[np.ndarray, "height width 3"],
    task: NerfTask | SceneRepresentationTask | NearestViewTask,
    truth: Truth | None,
) -> None:
    """Add one test view, and apart its glossy pixels; pictures are kept as half floats."""
    photograph = task.scene.images[task.scene.splits["test"][number]]
    metrics = (*VIEW_METRICS, "lpips_vgg") if task.recipe.perceptual else VIEW_METRICS
    found, true = (np.clip(p, 0, 1).astype(np.float16) for p in (predicted, photograph))
    by_angle = task.recipe.by_angle
    split = split_by_angle(task.scene, number) if by_angle else "test"
    predictions.compare(f"test-{number:03d}", found, true, metrics=metrics, split=split)
    if not by_angle and truth is not None and truth.glossy[number].any():
        glossy = truth.glossy[number]
        predictions.compare(
            f"glossy-{number:03d}",
            found[glossy],
            true[glossy],
            metrics=("psnr_8bit",),
            split="glossy",
        )


def split_by_angle(scene: Scene, number: int) -> str:
    """The split of a test view in sweeps over the angle: "20 degrees", to the nearest five."""
    return f"{5 * round(angle_to_training_views(scene, number) / 5)} degrees"


def angle_to_training_views(scene: Scene, number: int) -> float:
    """Degrees between where a test view looks and where the training views look on average."""
    directions = scene.cameras.view_directions
    mean = directions[scene.splits["train"]].mean(0)
    cosine = directions[scene.splits["test"][number]] @ mean / np.linalg.norm(mean)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def compare_depth(
    predictions: Predictions,
    number: int,
    depth: Float[np.ndarray, "height width"],
    truth: Truth | None,
) -> None:
    """Add a test view's depth: compared where the truth is known, else the first few kept."""
    if truth is not None:
        predictions.compare(
            f"depth-{number:03d}",
            depth,
            truth.depth[number],
            metrics=("median_relative_depth_error",),
            split="depth",
        )
    elif number < KEPT_VIEWS:
        predictions.array(f"depth-{number:03d}-prediction", depth)


def _predict_views(task: NerfTask, predictions: Predictions, renderer: Renderer) -> None:
    scene, truth = task.scene, truth_of(task)
    for number, view in enumerate(scene.splits["test"]):
        rendered = renderer.render(scene.cameras, int(view))
        colour = rendered.colour.float().numpy()
        compare_view(predictions, number, colour, task, truth)
        depth = renderer.depth(scene.cameras, int(view), rendered)
        compare_depth(predictions, number, depth, truth)
        if number < KEPT_VIEWS:
            predictions.array(f"opacity-{number:03d}", rendered.opacity.numpy().astype(np.float16))


@dataclass(frozen=True)
class Truth:
    """What a toy scene tells of its test views: depth in the units of the files, glossy pixels."""

    depth: Float[np.ndarray, "views height width"]
    glossy: Bool[np.ndarray, "views height width"]


def truth_of(
    task: NerfTask | SceneRepresentationTask | NearestViewTask,
) -> Truth | None:
    """The truth about the test views, where a toy scene tells it for pixels of this size."""
    if not (task.subject / "toy.json").is_file() or task.recipe.shrink > 1:
        return None
    if task.scene.layout == "blender":
        depth, glossy = read_truth(task.subject, "test")
        return Truth(depth[:: task.recipe.test_skip], glossy[:: task.recipe.test_skip])
    views = task.scene.splits["test"]
    depth, glossy = read_truth(task.subject)
    return Truth(depth[views], glossy[views])


def write_videos(renderer: Renderer, out: Path, count: int) -> None:
    """Write path.mp4 and path-depth.mp4 along a closed path: a spiral, or an orbit."""
    scene = renderer.scene
    along = path_past(scene, count)
    views = [renderer.render_guided(along, frame) for frame in range(count)]
    nearness = [
        (view.opacity * (1 - view.depth) if scene.ndc else view.disparity).numpy() for view in views
    ]
    write_films(out, [view.colour.float().numpy() for view in views], nearness)


def path_past(scene: Scene, count: int) -> Cameras:
    """Cameras along a closed path: LLFF's spiral, or an orbit around what is surrounded."""
    cameras = scene.cameras[scene.splits["train"]]
    path = (
        spiral(cameras, near=scene.near, far=scene.far, count=count)
        if scene.ndc
        else orbit_among(cameras, count)
    )
    return Cameras(path, scene.cameras.intrinsics)


def write_films(
    out: Path, colours: list[NDArray[np.floating]], nearness: list[NDArray[np.floating]]
) -> None:
    """Write path.mp4 and path-depth.mp4; near is bright, what the ray misses is dark."""
    from matplotlib import colormaps

    low, high = np.percentile(nearness, [2, 98])
    shades = [np.clip((near - low) / max(high - low, 1e-9), 0, 1) for near in nearness]
    depths = [colormaps["inferno"](shade)[..., :3].astype(np.float32) for shade in shades]
    speed = max(1.0, min(FRAMES_PER_SECOND, len(colours) / 4))
    write_mp4(out / "path.mp4", colours, frames_per_second=speed)
    write_mp4(out / "path-depth.mp4", depths, frames_per_second=speed)
