"""Recipes of recordings over time: a sound, a video."""

from __future__ import annotations

from dataclasses import dataclass

from nir.errors import InputError
from nir.recipes.field import Activation, FieldRecipe


@dataclass(frozen=True, kw_only=True)
class AudioRecipe(FieldRecipe):
    """SIREN section 4.1; vsitzmann/siren:experiment_scripts/train_audio.py."""

    steps: int = 9001
    learning_rate: float = 1e-4
    activation: Activation = "sine"
    coordinate_scale: float = 100.0  # time runs over +-100; as good as first_omega_0 = 3000 on +-1
    start_seconds: float = 0.0  # what part of the sound is fitted
    seconds: float = 0.0  # 0: to its end
    rate_hz: int = 0  # resampled to this; 0: as recorded
    points_per_step: int = 0  # random samples a step; 0: all, as the paper

    def check(self, where: str) -> None:
        """Refuse parts of a sound that do not exist."""
        super().check(where)
        for key in ("start_seconds", "seconds", "rate_hz", "points_per_step"):
            if getattr(self, key) < 0:
                raise InputError(f"{where}.{key}: {getattr(self, key)} is negative")
        if self.coordinate_scale <= 0:
            raise InputError(f"{where}.coordinate_scale: {self.coordinate_scale} must be positive")


@dataclass(frozen=True, kw_only=True)
class VideoRecipe(FieldRecipe):
    """SIREN section 4.1; vsitzmann/siren:experiment_scripts/train_video.py."""

    steps: int = 100_000
    learning_rate: float = 1e-4
    activation: Activation = "sine"
    width: int = 1024
    frames: int = 300  # the first so many; the paper's cat has 300
    every_frame: int = 1  # keep every so manieth of them
    resolution: int = 512  # centres of frames are cropped to a square and reduced
    sample_fraction: float = 38e-4  # of all pixels of all frames, random, a step
    frames_per_second: int = 25  # of the film that is written

    def check(self, where: str) -> None:
        """Refuse videos without frames and steps without pixels."""
        super().check(where)
        for key, least in (("frames", 2), ("every_frame", 1), ("resolution", 8)):
            if getattr(self, key) < least:
                raise InputError(f"{where}.{key}: {getattr(self, key)} is too small")
        if not 0 < self.sample_fraction <= 1:
            raise InputError(f"{where}.sample_fraction: {self.sample_fraction} is not in (0, 1]")
        if self.frames_per_second < 1:
            raise InputError(f"{where}.frames_per_second: {self.frames_per_second} is too small")
