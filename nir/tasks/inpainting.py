"""Tasks: an image from some of its pixels, by a prior learned from others or from it alone.

Values are in [-1, 1] for fields and errors, as in SIREN's Table 1; pixels are counted row by row,
coordinates (row, column) run over [-1, 1] with both ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Generator, Tensor

from nir.data.images import centre_crop_square, read_image, resize_image
from nir.errors import InputError
from nir.networks.hyper import (
    ConvolutionEncoder,
    HyperNetwork,
    ImagePrior,
    SetEncoder,
    mean_square,
)
from nir.networks.mlp import MLP
from nir.predictions import Predictions
from nir.recipes.inpainting import PriorRecipe
from nir.tasks.contract import Task
from nir.tasks.image import pixel_coordinates

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
IMAGES_PER_CHUNK = 100
SHOWN_IMAGES = 4


def load_images(recipe: PriorRecipe, subject: Path) -> Float32[np.ndarray, "images side side c"]:
    """Read square images in [0, 1]: a folder of pictures, or an array [n, h, w] or [n, h, w, 3]."""
    if subject.is_dir():
        files = sorted(f for f in subject.rglob("*") if f.suffix.lower() in PICTURES)
        files = files[: recipe.images] if recipe.images else files
        pictures = (read_image(f, colour=recipe.colour, background=1.0) for f in files)
    else:
        pictures = _pictures_of_array(recipe, subject)
    side = recipe.resolution
    squares = [
        resize_image(centre_crop_square(p), height=side, width=side, filter="area")
        for p in pictures
    ]
    if len(squares) <= recipe.test_images:
        raise InputError(
            f"{subject}: holds {len(squares)} images; test_images {recipe.test_images} leaves "
            "none to train on"
        )
    return np.stack(squares).astype(np.float32)


def _pictures_of_array(recipe: PriorRecipe, path: Path) -> Float32[np.ndarray, "images h w c"]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: is not an array that can be read ({error})") from error
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or min(array.shape) == 0:
        raise InputError(f"{path}: is an array {list(array.shape)}, not images [n, h, w]")
    array = array[: recipe.images] if recipe.images else array
    values = array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise InputError(f"{path}: has values outside of [0, 1]; rescale them or save bytes")
    return (
        values if recipe.colour == "grey" else np.repeat(values, 4 - values.shape[-1], -1)[..., :3]
    )


@dataclass(frozen=True)
class Contexts:
    """Some images, and which of their pixels are known."""

    images: Float[Tensor, "images pixels c"]
    known: Bool[Tensor, "images pixels"]


def build(
    recipe: PriorRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> PriorTask:
    """Build the task for the images at `subject`."""
    images = load_images(recipe, subject)
    channels = images.shape[-1]
    encoder = None
    if recipe.encoder == "set":
        encoder = SetEncoder(channels, recipe.encoder_width, recipe.code_size, generator=generator)
    elif recipe.encoder == "convolution":
        encoder = ConvolutionEncoder(
            channels,
            recipe.encoder_width,
            recipe.code_size,
            recipe.resolution**2,
            generator=generator,
        )
    target = MLP(
        2,
        channels,
        width=recipe.width,
        hidden_layers=recipe.hidden_layers,
        activation="sine",
        generator=generator,
    )
    hyper = HyperNetwork(target, recipe.code_size, recipe.hyper_width, generator=generator)
    prior = ImagePrior(encoder, target, hyper, recipe.code_size)
    return PriorTask(recipe, images, prior.to(device), device)


class PriorTask(Task):
    """Learn from many images how to complete one."""

    def __init__(
        self,
        recipe: PriorRecipe,
        images: Float32[np.ndarray, "images side side c"],
        prior: ImagePrior,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.field = prior
        self.device = device
        values = torch.from_numpy(images * 2 - 1).flatten(1, 2).to(device)
        self.trained = values[: -recipe.test_images]
        self.tested = values[-recipe.test_images :]
        side = recipe.resolution
        self.coordinates = pixel_coordinates(side, "symmetric").reshape(-1, 2).to(device)

    def batch(self, step: int, generator: Generator) -> Contexts:
        """Draw images, how many pixels of each are known, and which."""
        r = self.recipe
        chosen = torch.randint(
            len(self.trained), (r.batch_images,), generator=generator, device=self.device
        )
        counts = torch.randint(
            r.context_least,
            r.context_most + 1,
            (r.batch_images, 1),
            generator=generator,
            device=self.device,
        )
        draw = torch.rand(
            r.batch_images, len(self.coordinates), generator=generator, device=self.device
        )
        images, known = self.trained[chosen], draw.argsort(dim=1) < counts
        if r.half_share > 0:
            side, kind = torch.rand(2, r.batch_images, generator=generator, device=self.device)
            half = self.halves()[(side * 4).long()]
            known = torch.where((kind < r.half_share)[:, None], half, known)
        if r.mirrored:
            turned = torch.rand(r.batch_images, 1, 1, generator=generator, device=self.device) < 0.5
            images = torch.where(turned, self._mirrored(images), images)
        return Contexts(images, known)

    def _mirrored(self, images: Float[Tensor, "images pixels c"]) -> Tensor:
        side = self.recipe.resolution
        return images.unflatten(1, (side, side)).flip(2).flatten(1, 2)

    def halves(self) -> Bool[Tensor, "4 pixels"]:
        """The upper, lower, left and right half."""
        row, column = self.coordinates.unbind(dim=1)
        return torch.stack([row < 0, row > 0, column < 0, column > 0])

    def losses(self, batch: Contexts) -> dict[str, Tensor]:
        """Mean squared error of all pixels, and both regularisers (SIREN equation 9)."""
        codes = self.field.codes(*self._seen(batch))
        weights = self.field.hyper(codes)
        error = self.field.evaluate(weights, self.coordinates) - batch.images
        return {
            "pixels": (error**2).mean(),
            "code": self.recipe.code_weight * (codes**2).mean(),
            "weights": self.recipe.weight_weight * mean_square(weights),
        }

    def _seen(self, batch: Contexts) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinates, values and a mask; for a set only as many pixels as may be known."""
        coordinates = self.coordinates.expand(len(batch.images), -1, -1)
        if self.recipe.encoder != "set":
            return coordinates, batch.images, batch.known
        most = int(batch.known.sum(dim=1).max())
        index = batch.known.float().argsort(dim=1, descending=True, stable=True)[:, :most]
        places = index[..., None]
        return (
            coordinates.gather(1, places.expand(-1, -1, 2)),
            batch.images.gather(1, places.expand(-1, -1, batch.images.shape[-1])),
            batch.known.gather(1, index),
        )

    def protocol(self) -> str:
        """Which images are compared; errors are in units of [-1, 1]."""
        r = self.recipe
        return f"unseen-{len(self.tested)}-{r.colour}-{r.resolution}-range-2"

    @torch.no_grad()
    def predict(self, out: Path) -> None:
        """Complete the unseen images from ever more known pixels."""
        side = self.recipe.resolution
        shape = (len(self.tested), side, side, self.tested.shape[-1])
        truth = self.tested.reshape(shape).cpu().numpy()
        predictions = Predictions(out, self.protocol())
        for name, known in self.tested_contexts().items():
            completed = [
                self.field.evaluate(
                    self.field(*self._seen(Contexts(images, mask))), self.coordinates
                )
                for images, mask in zip(
                    self.tested.split(IMAGES_PER_CHUNK), known.split(IMAGES_PER_CHUNK), strict=True
                )
            ]
            found = torch.cat(completed).reshape(shape).cpu().numpy()
            predictions.compare(name, found, truth, metrics=("mse",))
            mask = known[:SHOWN_IMAGES].reshape(-1, side, side)
            predictions.array(f"{name}-known", mask.cpu().numpy())
        predictions.write()

    def tested_contexts(self) -> dict[str, Bool[Tensor, "images pixels"]]:
        """Masks by name: some random pixels, the upper half, all."""
        count, pixels = self.tested.shape[:2]
        draw = torch.rand(count, pixels, generator=torch.Generator().manual_seed(0))
        order = draw.argsort(dim=1).to(self.device)
        contexts = {f"known_{k}": order < k for k in self.recipe.tested_contexts if k < pixels}
        contexts["known_half"] = self.halves()[0].expand(count, -1).clone()
        contexts["known_all"] = torch.ones_like(contexts["known_half"])
        return contexts
