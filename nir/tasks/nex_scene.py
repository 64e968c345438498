"""A scene for planes: photographs that face one way, the reference view, and where planes stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nir.data.scene_images import size_and_alpha
from nir.data.scenes import Scene, load_blender, load_llff
from nir.data.spaces import load_spaces
from nir.errors import InputError, unknown_name
from nir.geometry.similarity import FORWARD_FACING_DEGREES, view_angle_spread
from nir.operators.planes import PlaneStack, plane_depths
from nir.recipes.nex import NexRecipe
from nir.tasks.scene_views import with_train_views


def load_forward_scene(recipe: NexRecipe, subject: Path) -> Scene:
    """Read the scene of a run; a capture from all around is refused with its measured angle."""
    subject = Path(subject)
    if (subject / "transforms_train.json").is_file():
        first = next(iter(sorted((subject / "train").glob("*.png"))), None)
        has_alpha = first is not None and size_and_alpha(first)[2]
        background = 1.0 if has_alpha else None
        scene = load_blender(subject, background=background, downscale=recipe.shrink)
    elif (subject / "models.json").is_file():
        scene = load_spaces(subject, downscale=recipe.shrink)
    else:
        scene = load_llff(subject, factor=recipe.shrink)
    scene = with_train_views(scene, recipe.train_views, subject)
    _require_forward_facing(scene, subject)
    return scene


def _require_forward_facing(scene: Scene, subject: Path) -> None:
    angle = view_angle_spread(scene.cameras[scene.splits["train"]])
    if angle > FORWARD_FACING_DEGREES:
        raise InputError(
            f"{subject}: a capture from around: its views turn by {angle:.0f} degrees, and planes "
            f"before one reference view serve at most {FORWARD_FACING_DEGREES:.0f}; use the task "
            "nerf, or only views from one side"
        )


def reference_view_of(recipe: NexRecipe, scene: Scene, subject: Path) -> int:
    """The view before which the planes stand: the named one, or the training view nearest to the
    mean of the cameras' places.
    """
    train = scene.splits["train"]
    if not recipe.reference_view:
        places = scene.cameras.positions[train]
        return int(train[np.linalg.norm(places - places.mean(0), axis=1).argmin()])
    names = {Path(scene.names[view]).name: int(view) for view in train}
    if recipe.reference_view not in names:
        held = {Path(name).name for name in scene.names} - set(names)
        if recipe.reference_view in held:
            raise InputError(
                f"{subject}: reference_view {recipe.reference_view} is held out for testing; name "
                "a training image"
            )
        unknown = unknown_name("training image", recipe.reference_view, names)
        raise InputError(f"{subject}: reference_view: {unknown}")
    return names[recipe.reference_view]


def plane_bounds(recipe: NexRecipe, scene: Scene, subject: Path) -> tuple[float, float, bool]:
    """Depths of the nearest and farthest plane in scene units, and whether inverse depth is even.

    From the recipe, else from `planes.txt` (Shiny ships it: near, far and, if given, 1 for even
    inverse depth), else the bounds of all views.
    """
    to_scene = 1 / scene.world_from_scene.scale
    file = subject / "planes.txt"
    if recipe.near:
        return recipe.near * to_scene, recipe.far * to_scene, recipe.inverse_depth
    if not file.is_file():
        bounds = scene.bounds
        return float(bounds[:, 0].min()), float(bounds[:, 1].max()), recipe.inverse_depth
    try:
        numbers = [float(word) for word in file.read_text().split()]
        near, far = numbers[:2]
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(
            f"{file}: two numbers, the nearest and the farthest depth, are expected"
        ) from error
    if not 0 < near < far:
        raise InputError(f"{file}: planes from {near:g} to {far:g}; 0 < near < far is needed")
    even = bool(numbers[2]) if len(numbers) > 2 else recipe.inverse_depth
    return near * to_scene, far * to_scene, even


def stack_for(recipe: NexRecipe, scene: Scene, subject: Path) -> PlaneStack:
    """The planes of a run; training views must stand before them."""
    near, far, inverse_depth = plane_bounds(recipe, scene, subject)
    stack = PlaneStack.around(
        scene.cameras.camera_to_world[reference_view_of(recipe, scene, subject)],
        scene.cameras.intrinsics,
        plane_depths(recipe.planes, near=near, far=far, inverse_depth=inverse_depth),
        margin=recipe.margin,
        planes_per_group=recipe.planes_per_group,
    )
    train = scene.splits["train"]
    names = [scene.names[view] for view in train]
    stack.require_views_before(scene.cameras[train], names, str(subject))
    return stack
