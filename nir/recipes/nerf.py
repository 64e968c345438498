"""Recipes of NeRF: the paper's for the synthetic scenes, and its other one for real scenes.

Sources: NeRF section 5 and appendix A; bmild/nerf:paper_configs/{blender,llff}_config.txt, which
made the released results (the paper's text has 4096 rays for both).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nir.errors import InputError
from nir.recipes.base import Recipe, asked_afterwards


@dataclass(frozen=True, kw_only=True)
class NerfRecipe(Recipe):
    """NeRF on the realistic synthetic scenes (360 degrees, white background)."""

    # scene_representation: SRN; nearest_view: the baseline without a model
    method: Literal["nerf", "scene_representation", "nearest_view"] = "nerf"
    steps: int = 500_000  # lrate_decay 500 (thousand); the paper says 100k to 300k
    learning_rate: float = 5e-4  # section 5.3
    learning_rate_decay: float = 0.1  # reached after decay_steps
    decay_steps: int = 500_000  # blender_config.txt: lrate_decay = 500 (thousand)
    log_every: int = 100  # run_nerf.py: i_print
    adam_epsilon: float = 1e-7  # section 5.3, Keras' default

    rays: int = 1024  # blender_config.txt: N_rand
    rays_from_one_view: bool = True  # blender_config.txt: no_batching
    sampling: Literal["hierarchical", "uniform", "few_uniform"] = "hierarchical"
    coarse_samples: int = 64  # section 5.3
    fine_samples: int = 128  # section 5.3: additional to the coarse ones
    near: float = 0.0  # where sampling of rays begins and ends; far 0: the scene's own bounds,
    far: float = 0.0  # 2 and 6 in the synthetic scenes (load_blender.py)
    raw_noise_std: float = 0.0  # blender_config.txt
    centre_crop_steps: int = 0  # 500 in nerf-pytorch's configs, against collapse
    centre_crop_share: float = 0.5  # the part of each side that is kept meanwhile

    position_octaves: int = 10  # section 5.1; 0: no positional encoding
    direction_octaves: int = 4  # section 5.1
    use_view_directions: bool = True
    width: int = 256  # section 3
    depth: int = 8
    initialisation: Literal["glorot_uniform", "pytorch"] = "glorot_uniform"  # Keras' default

    marching_steps: int = 10  # of SRN: train.py, tracing_steps
    marcher_units: int = 16  # of SRN: custom_layers.py, Raymarcher

    shrink: int = 1  # images are averaged over squares of so many pixels; llff: the factor
    background: Literal["white", "black", "none"] = "white"  # blender_config.txt: white_bkgd
    train_views: int = 0  # the first so many, rather than all (Table 2, rows 5 and 6)
    test_skip: int = 1  # every view of the test split; 8 is run_nerf.py's quick look
    compiled: bool = False  # torch.compile the fields: worth its minute on a GPU
    watched_steps: int = 2000  # how long the start is watched for collapse

    perceptual: bool = asked_afterwards(True)  # LPIPS (VGG), which Table 1 prints
    by_angle: bool = asked_afterwards(False)  # average views by their angle to training views
    skip_empty_space: bool = asked_afterwards(True)  # rendering only; see operators.occupancy
    occupancy_resolution: int = asked_afterwards(128)  # cells along a side of what may be skipped
    video_frames: int = asked_afterwards(120)  # load_llff.py, render_path_spiral; 0: no video
    inspected: bool = asked_afterwards(False)  # predict a ray's samples and the light of points
    meshed: bool = asked_afterwards(False)  # predict the surface, compared where it is known
    mesh_resolution: int = asked_afterwards(256)  # extract_mesh.ipynb
    mesh_density: float = asked_afterwards(50.0)  # extract_mesh.ipynb: marching cubes' threshold

    @property
    def samples(self) -> tuple[int, int]:
        """Samples of the first pass, and those added in the second (0: one pass, one network).

        "uniform" asks one network as often as "hierarchical" asks both (Table 2, row 4: 256);
        "few_uniform" is the first pass alone.

        >>> NerfRecipe(sampling="uniform").samples, NerfRecipe(sampling="few_uniform").samples
        ((256, 0), (64, 0))
        """
        if self.sampling == "uniform":
            return 2 * self.coarse_samples + self.fine_samples, 0
        return self.coarse_samples, 0 if self.sampling == "few_uniform" else self.fine_samples

    @property
    def evaluations_per_ray(self) -> int:
        """How often networks are asked for one ray; the second pass repeats the first's samples."""
        first, added = self.samples
        return 2 * first + added if added else first

    def learning_rate_factor(self, step: int) -> float:
        """0.1^(step / decay_steps), however many steps are made (run_nerf.py).

        >>> NerfRecipe(decay_steps=100).learning_rate_factor(200)
        0.010000000000000002
        """
        return self.learning_rate_decay ** (step / self.decay_steps)

    def check(self, where: str) -> None:
        """Refuse what cannot be sampled or trained."""
        super().check(where)
        least = {
            "rays": 1,
            "coarse_samples": 4,
            "fine_samples": 1,
            "position_octaves": 0,
            "direction_octaves": 0,
            "width": 2,
            "depth": 1,
            "decay_steps": 1,
            "marching_steps": 1,
            "marcher_units": 1,
            "shrink": 1,
            "train_views": 0,
            "test_skip": 1,
            "video_frames": 0,
            "mesh_resolution": 8,
            "occupancy_resolution": 8,
        }
        for key, smallest in least.items():
            if getattr(self, key) < smallest:
                raise InputError(
                    f"{where}.{key}: {getattr(self, key)} is too small; {smallest} or more"
                )
        if self.far and not 0 <= self.near < self.far:
            raise InputError(
                f"{where}.near: {self.near:g}, but far is {self.far:g}; 0 <= near < far is needed"
            )
        if not 0 < self.centre_crop_share <= 1:
            raise InputError(f"{where}.centre_crop_share: a share in (0, 1] is expected")
        if self.method == "nearest_view" and self.steps:
            raise InputError(f"{where}.steps: nearest_view has nothing to train; set steps to 0")


@dataclass(frozen=True, kw_only=True)
class LlffNerfRecipe(NerfRecipe):
    """NeRF on real forward-facing captures: all rays shuffled, noise on density, NDC."""

    steps: int = 200_000  # run_nerf.py
    decay_steps: int = 250_000  # llff_config.txt: lrate_decay = 250 (thousand)
    rays: int = 4096  # llff_config.txt: N_rand
    rays_from_one_view: bool = False
    raw_noise_std: float = 1.0  # llff_config.txt
    shrink: int = 4  # llff_config.txt: factor
    background: Literal["white", "black", "none"] = "none"
