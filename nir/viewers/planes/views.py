"""Where the viewer's camera may go: around the mean place of the photographs, as far as they reach.

The same places are looked from when it is decided which tiles are seen, so that no hole shows.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nir.geometry.cameras import Cameras
from nir.geometry.paths import look_at, spiral
from nir.geometry.similarity import average_pose
from nir.operators.planes import PlaneStack

PATH_VIEWS = 96
PROBED_PATH_VIEWS = 16
LEAST_ADVANCE = 0.1
"""How far one may come nearer, as a share of the nearest plane's depth."""
NEAREST = 0.9
"""And never nearer than this share of it."""


@dataclass(frozen=True)
class ViewingRange:
    """In the reference camera's axes: the camera stays in centre ± reach and looks at the focus."""

    centre: Float[np.ndarray, " 3"]
    reach: Float[np.ndarray, " 3"]
    focus: Float[np.ndarray, " 3"]
    path: Float[np.ndarray, "views 4 4"]

    @classmethod
    def of(cls, stack: PlaneStack, cameras: Cameras) -> ViewingRange:
        """That of photographs taken by `cameras` (in the world)."""
        inside = Cameras(stack.world_to_camera @ cameras.camera_to_world, cameras.intrinsics)
        near, far = float(stack.depths[0]), float(stack.depths[-1])
        middle = average_pose(inside)
        centre, forward = middle[:3, 3], middle[:3, 2]
        reach = np.percentile(np.abs(inside.positions - centre), 90, axis=0)
        reach[2] = max(reach[2], LEAST_ADVANCE * near)
        reach[2] = min(reach[2], max(NEAREST * near - centre[2], 0.0))
        distance = 1 / (0.25 / (0.9 * near) + 0.75 / (5 * far))  # as `paths.spiral` looks
        path = spiral(inside, near=near, far=far, count=PATH_VIEWS, rotations=1.0)
        return cls(centre, reach, centre + distance * forward, path)

    def poses(self) -> Float[np.ndarray, "views 4 4"]:
        """Poses that stand for all: the corners, the middles of the sides, and the path."""
        corners = itertools.product((-1, 0, 1), repeat=3)
        up = np.array([0.0, -1.0, 0.0])
        around = [look_at(self.centre + self.reach * c, self.focus, up) for c in corners]
        return np.concatenate([around, self.path[:: PATH_VIEWS // PROBED_PATH_VIEWS]])
