"""Recipe of DeepSDF: one decoder of many shapes, and what it is asked afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import Recipe, asked_afterwards, at_least


@dataclass(frozen=True, kw_only=True)
class ShapeDecoderRecipe(Recipe):
    """DeepSDF sections 4 to 6; facebookresearch/DeepSDF: examples/*/specs.json, reconstruct.py.

    Where paper and code differ the code's values stand here; lengths are those of chairs, 3281
    shapes and so 51 steps an epoch.
    """

    method: Literal["auto_decoder", "mean_shape", "nearest_shape"] = "auto_decoder"
    # mean_shape: the same network without codes, one answer for all. nearest_shape: no network,
    # a copy of the training shape that fits what is observed best.
    asks: Literal["known", "unknown", "completion", "interpolation"] = asked_afterwards("known")
    target: Literal["distance", "occupancy"] = "distance"
    sampling: Literal["near", "uniform"] = "near"
    balanced: bool = True  # as many points inside as outside (deep_sdf/data.py)

    steps: int = 102_051  # 2001 epochs (specs.json); 1000 in the paper
    learning_rate: float = 5e-4  # of the decoder
    code_learning_rate: float = 1e-3
    halve_every: int = 25_500  # 500 epochs; 0: never
    shapes_per_step: int = 64
    points_per_shape: int = 16_384
    train_shapes: int = 0  # 0: all of the collection's
    code_size: int = 256  # specs.json; 128 for known shapes and completion in the paper
    width: int = 512
    layers: int = 8
    skip: int = 4
    dropout: float = 0.2
    clamp: float = 0.1
    code_weight: float = 1e-4  # times the mean norm of the codes
    code_prior: Literal["norm", "square"] = "norm"  # square: the paper's equation 9
    code_warm_up: int = 5_100  # 100 epochs
    code_bound: float = 1.0
    code_deviation: float = 0.0  # of the start; 0: 1 / sqrt(code_size)

    inference_steps: int = asked_afterwards(800)  # reconstruct.py, as all that follows
    inference_points: int = asked_afterwards(8_000)
    inference_learning_rate: float = asked_afterwards(5e-3)  # a tenth after half of the steps
    inference_code_weight: float = asked_afterwards(1e-4)  # times the mean of the squared code
    inference_deviation: float = asked_afterwards(0.01)
    tested_shapes: int = asked_afterwards(0)  # 0: all
    mesh_resolution: int = asked_afterwards(256)
    depth_size: int = asked_afterwards(128)  # pixels of the depth map that is completed
    depth_step: float = asked_afterwards(0.01)  # eta, section 6.3: to both sides of what is seen
    free_space_points: int = asked_afterwards(4_000)
    free_space_weight: float = asked_afterwards(1.0)
    strip: int = asked_afterwards(7)  # meshes from one code to another
    picture_size: int = asked_afterwards(200)
    turntable_frames: int = asked_afterwards(48)  # 0: no film and no GLB
    detailed_metrics: bool = asked_afterwards(False)  # Occupancy Networks' metrics beside DeepSDF's

    def learning_rate_factor(self, step: int) -> float:
        """Halved every so many steps, and what all recipes have."""
        halvings = step // self.halve_every if self.halve_every else 0
        return super().learning_rate_factor(step) * 0.5**halvings

    def check(self, where: str) -> None:
        """Refuse networks whose skip has no room, and questions that a method cannot answer."""
        super().check(where)
        at_least(where, 1, shapes_per_step=self.shapes_per_step, width=self.width)
        at_least(where, 2, strip=self.strip, points_per_shape=self.points_per_shape)
        at_least(where, 4, mesh_resolution=self.mesh_resolution)
        if not 0 < self.skip < self.layers or self.code_size + 3 >= self.width:
            raise InputError(
                f"{where}.skip: the input enters again between 1 and layers - 1, and the code "
                "and a point must fit into the width"
            )
        if not 0 <= self.dropout < 1 or self.clamp <= 0:
            raise InputError(f"{where}: dropout in [0, 1) and clamp > 0 are needed")
        if self.method == "nearest_shape" and self.asks not in ("unknown", "completion"):
            raise InputError(f"{where}.method: nearest_shape is for unknown shapes")
        if self.method == "nearest_shape" and self.steps:
            raise InputError(f"{where}.steps: nearest_shape has nothing to train; set steps to 0")
