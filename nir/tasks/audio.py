"""Task: a sound as a field from time to amplitude.

Operator: identity. Time runs linearly over [-s, s], both ends included, s the recipe's
`coordinate_scale`; amplitudes are divided by the largest, so that the loudest sample is 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Generator, Tensor

from nir.data.audio import read_audio, write_wav
from nir.errors import InputError
from nir.fields.coordinates import Field, field_from
from nir.predictions import Predictions
from nir.recipes.recordings import AudioRecipe
from nir.tasks.contract import Task
from nir.tasks.monitored import evenly_spread

METRICS = ("audio_mse", "signal_to_noise")
SAMPLES_PER_CHUNK = 65_536  # bounds the memory of prediction, not its result
MONITORED_SAMPLES = 4096


@dataclass(frozen=True)
class Samples:
    """Times of samples as coordinates, and the amplitudes there."""

    coordinates: Float[Tensor, "samples 1"]
    amplitudes: Float[Tensor, "samples 1"]


def load_sound(recipe: AudioRecipe, subject: Path) -> tuple[Float32[np.ndarray, " time"], int]:
    """Read the recipe's part of a sound, resampled if asked, with peak 1; and its rate in hertz.

    A part that lies beyond the end, or holds nothing but silence, is an `InputError`.
    """
    samples, rate = read_audio(subject)
    begin = round(recipe.start_seconds * rate)
    end = begin + round(recipe.seconds * rate) if recipe.seconds else len(samples)
    part = samples[begin:end]
    if len(part) < 2:
        raise InputError(
            f"{subject}: lasts {len(samples) / rate:.2f} s; start_seconds {recipe.start_seconds} "
            "leaves nothing of it"
        )
    if recipe.rate_hz and recipe.rate_hz != rate:
        from scipy.signal import resample_poly  # half a second; few runs need it

        common = math.gcd(recipe.rate_hz, rate)
        part = resample_poly(part, recipe.rate_hz // common, rate // common).astype(np.float32)
        rate = recipe.rate_hz
    peak = np.abs(part).max()
    if peak == 0:
        raise InputError(f"{subject}: this part is silent; choose another by start_seconds")
    return part / peak, rate


def build(
    recipe: AudioRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> AudioTask:
    """Build the task for the sound at `subject`."""
    sound, rate = load_sound(recipe, subject)
    return AudioTask(recipe, sound, rate, field_from(recipe, 1, 1, generator).to(device), device)


class AudioTask(Task):
    """Fit a field to all samples of a sound."""

    def __init__(
        self,
        recipe: AudioRecipe,
        sound: Float32[np.ndarray, " time"],
        rate: int,
        field: Field,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.field = field
        self.sound = sound
        self.rate = rate
        scale = recipe.coordinate_scale
        times = torch.linspace(-scale, scale, len(sound), dtype=torch.float64)
        self.samples = Samples(
            times.float()[:, None].to(device), torch.from_numpy(sound)[:, None].to(device)
        )
        chosen = evenly_spread(len(sound), min(len(sound), MONITORED_SAMPLES))
        self.monitored = self._chosen(chosen.to(device))

    def _chosen(self, index: Tensor) -> Samples:
        return Samples(self.samples.coordinates[index], self.samples.amplitudes[index])

    def batch(self, step: int, generator: Generator) -> Samples:
        """Return all samples (the paper), or as many random ones as the recipe says."""
        if self.recipe.points_per_step == 0:
            return self.samples
        size, device = (self.recipe.points_per_step,), self.samples.coordinates.device
        index = torch.randint(len(self.sound), size, generator=generator, device=device)
        return self._chosen(index)

    def losses(self, batch: Samples) -> dict[str, Tensor]:
        """Mean squared error of the amplitudes."""
        return {"amplitude": torch.mean((self.field(batch.coordinates) - batch.amplitudes) ** 2)}

    def monitor(self) -> dict[str, float]:
        """Mean squared error at some samples."""
        return {"mse_trained": self.losses(self.monitored)["amplitude"].item()}

    def protocol(self) -> str:
        """Which sound at which rate; errors are those of amplitudes with peak 1."""
        length = f"{len(self.sound)}-samples"
        return f"sound-{length}-{self.rate}-hz-peak-1"

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Write the sound as numbers and as WAV, beside the truth."""
        chunks = self.samples.coordinates.split(SAMPLES_PER_CHUNK)
        predicted = torch.cat([self.field(chunk) for chunk in chunks])[:, 0].float().cpu().numpy()
        predictions = Predictions(out, self.protocol())
        predictions.compare("sound", predicted, self.sound, metrics=METRICS)
        predictions.array("rate", np.array([self.rate]))
        write_wav(out / "sound.wav", predicted, rate=self.rate)
        write_wav(out / "truth.wav", self.sound, rate=self.rate)
        predictions.write()
