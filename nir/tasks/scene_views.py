"""Which of a scene's views a run trains on, whatever its task."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nir.data.scenes import Scene
from nir.errors import InputError


def with_train_views(scene: Scene, count: int, subject: Path) -> Scene:
    """The scene with its first `count` training views; 0 keeps all of them."""
    train = scene.splits["train"]
    if count > len(train):
        raise InputError(f"{subject}: train_views {count}, but there are {len(train)} such views")
    if not count:
        return scene
    return dataclasses.replace(scene, splits={**scene.splits, "train": train[:count]})
