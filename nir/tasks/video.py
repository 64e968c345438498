"""Task: a video as a field from (time, row, column) to colours.

Operator: identity. Each coordinate runs over [-1, 1] with both ends included; values are in
[-1, 1] for the field and in [0, 1] on disk. Every step sees a random fraction of all pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Generator, Tensor

from nir.data.images import centre_crop_square, resize_image
from nir.data.video import read_video, write_mp4
from nir.errors import InputError
from nir.fields.coordinates import Field, field_from
from nir.predictions import Predictions
from nir.recipes.recordings import VideoRecipe
from nir.tasks.contract import Task
from nir.tasks.monitored import evenly_spread

METRICS = ("psnr_frames_mean", "psnr_frames_deviation", "psnr_float")
POINTS_PER_CHUNK = 65_536  # bounds the memory of prediction, not its result
MONITORED_PIXELS = 4096


@dataclass(frozen=True)
class VideoPixels:
    """Coordinates of pixels and their colours in [-1, 1]."""

    coordinates: Float[Tensor, "pixels 3"]
    colours: Float[Tensor, "pixels 3"]


def load_frames(recipe: VideoRecipe, subject: Path) -> Float32[np.ndarray, "time side side 3"]:
    """Read the recipe's frames as squares of its resolution, in [0, 1]."""
    video = read_video(subject, frames=recipe.frames)[:: recipe.every_frame]
    if len(video) < 2:
        raise InputError(f"{subject}: has {len(video)} frames here; a video needs two at least")
    return np.stack([_square(frame, recipe.resolution) for frame in video])


def _square(frame: np.ndarray, side: int) -> Float32[np.ndarray, "side side 3"]:
    image = centre_crop_square(frame.astype(np.float32) / 255)
    kind = "area" if side <= image.shape[0] else "bicubic"
    return resize_image(image, height=side, width=side, filter=kind)


def build(
    recipe: VideoRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> VideoTask:
    """Build the task for the video at `subject`."""
    frames = load_frames(recipe, subject)
    return VideoTask(recipe, frames, field_from(recipe, 3, 3, generator).to(device), device)


class VideoTask(Task):
    """Fit a field to random pixels of a video, new ones each step."""

    def __init__(
        self,
        recipe: VideoRecipe,
        frames: Float32[np.ndarray, "time side side 3"],
        field: Field,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.field = field
        self.frames = frames
        # Bytes on the device, colours only where asked: the paper's cat has 78 million pixels.
        levels = torch.from_numpy(np.round(frames * 255).astype(np.uint8))
        self.levels = levels.reshape(-1, 3).to(device)
        sizes = torch.tensor(frames.shape[:3], device=device)
        self.strides = torch.stack([sizes[1] * sizes[2], sizes[2], torch.ones_like(sizes[0])])
        self.sizes = sizes
        chosen = evenly_spread(len(self.levels), MONITORED_PIXELS)
        self.monitored = self.pixels(chosen.to(device))

    def pixels(self, index: Tensor) -> VideoPixels:
        """The pixels of these numbers, counted frame by frame, row by row."""
        place = index[:, None] // self.strides % self.sizes
        coordinates = place / (self.sizes - 1) * 2 - 1
        return VideoPixels(coordinates, self.levels[index].float() / 127.5 - 1)

    def batch(self, step: int, generator: Generator) -> VideoPixels:
        """Return a random fraction of all pixels of all frames."""
        total = len(self.levels)
        size = (max(round(self.recipe.sample_fraction * total), 1),)
        device = self.levels.device
        return self.pixels(torch.randint(total, size, generator=generator, device=device))

    def losses(self, batch: VideoPixels) -> dict[str, Tensor]:
        """Mean squared error of the colours in [-1, 1]."""
        return {"colour": torch.mean((self.field(batch.coordinates) - batch.colours) ** 2)}

    def monitor(self) -> dict[str, float]:
        """Mean squared error of some pixels in units of [0, 1]."""
        predicted = self.field(self.monitored.coordinates).clamp(-1, 1)
        error = torch.mean((predicted - self.monitored.colours) ** 2) / 4
        return {"mse_trained": error.item()}

    def protocol(self) -> str:
        """How many frames of which size; all pixels are trained on."""
        count, side = self.frames.shape[:2]
        return f"video-{count}-frames-{side}-trained"

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write all frames, and a film of truth (left) and prediction (right)."""
        index = torch.arange(len(self.levels), device=self.levels.device)
        chunks = [self.field(self.pixels(i).coordinates) for i in index.split(POINTS_PER_CHUNK)]
        values = (torch.cat(chunks) / 2 + 0.5).clamp(0, 1).float().cpu().numpy()
        predicted = values.reshape(self.frames.shape)
        predictions = Predictions(out, self.protocol())
        predictions.compare("video", predicted, self.frames, metrics=METRICS)
        beside = np.concatenate([self.frames, predicted], axis=2)
        rate = self.recipe.frames_per_second
        write_mp4(out / "truth_and_field.mp4", beside, frames_per_second=rate)
        predictions.write()
