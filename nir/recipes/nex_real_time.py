"""Recipe of NeX in real time: train as NeX does, then measure how fast and how well it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from nir.errors import InputError
from nir.recipes.base import at_least
from nir.recipes.nex import NexRecipe


@dataclass(frozen=True, kw_only=True)
class RealTimeRecipe(NexRecipe):
    """NeX's recipe and what is measured; the paper's frame is 1008 x 756 with 192 planes."""

    resolution: float = 1.0  # texels a pixel of the photographs (nex-code bakes at 1)
    largest_texture: int = 4096  # the paper's viewer: 16000 (web_width), 4096 for phones
    timed_seconds: float = 5.0  # of each way to draw
    nerf_rays: int = 4096  # timed with networks of NeRF's size, then scaled to a frame
    in_browser: bool = True  # where there is a headless one

    def check(self, where: str) -> None:
        """Refuse what cannot be baked or timed."""
        super().check(where)
        at_least(where, 1, nerf_rays=self.nerf_rays)
        at_least(where, 0, timed_seconds=self.timed_seconds)
        if not 0 < self.resolution <= 8:
            raise InputError(f"{where}.resolution: {self.resolution:g} must lie between 0 and 8")
        if self.method != "nex":
            raise InputError(f"{where}.method: only nex has planes to bake; leave it out")
