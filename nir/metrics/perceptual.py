"""LPIPS v0.1: distance between images in the features of a trained network (Zhang et al. 2018).

The backbones' published weights and the learned linear weights are data sets of the registry
(`nir fetch lpips_vgg_backbone lpips_vgg`). Where they are absent the metric is absent, and says
so; nothing else is computed under its name. NeRF and NeX report `lpips_vgg`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from nir.errors import InputError, MissingWeightsError


@dataclass(frozen=True)
class Backbone:
    """A convolutional tower: `layers` in torchvision's numbering, `taps` after which to look.

    A layer is (outputs, kernel, stride, padding) for a convolution with ReLU, or (kernel, stride)
    for max pooling. Taps are indices of ReLUs.
    """

    name: str
    weights: str
    linear_weights: str
    layers: tuple[tuple[int, ...], ...]
    taps: tuple[int, ...]


_CONVOLUTIONS_3X3 = {width: (width, 3, 1, 1) for width in (64, 128, 256, 512)}

VGG16 = Backbone(
    name="lpips_vgg",
    weights="vgg16-397923af.pth",
    linear_weights="lpips_v0.1_vgg.pth",
    layers=tuple(
        layer
        for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
        for layer in (*[_CONVOLUTIONS_3X3[width]] * repeats, (2, 2))
    )[:-1],
    taps=(3, 8, 15, 22, 29),
)
ALEXNET = Backbone(
    name="lpips_alex",
    weights="alexnet-owt-7be5be79.pth",
    linear_weights="lpips_v0.1_alex.pth",
    layers=(
        (64, 11, 4, 2),
        (3, 2),
        (192, 5, 1, 2),
        (3, 2),
        (384, 3, 1, 1),
        (256, 3, 1, 1),
        (256, 3, 1, 1),
    ),
    taps=(1, 4, 7, 9, 11),
)


def tower_of(backbone: Backbone) -> nn.Sequential:
    """Build the tower; positions in the sequence are torchvision's, so its weights load by name."""
    modules: list[nn.Module] = []
    channels = 3
    for layer in backbone.layers:
        if len(layer) == 2:
            modules.append(nn.MaxPool2d(*layer))
        else:
            outputs, kernel, stride, padding = layer
            modules += [nn.Conv2d(channels, outputs, kernel, stride, padding), nn.ReLU()]
            channels = outputs
    return nn.Sequential(*modules)


class PerceptualDistance(nn.Module):
    """LPIPS for a loaded tower and its learned channel weights."""

    def __init__(self, backbone: Backbone, tower: nn.Sequential, channel_weights: list[Tensor]):
        super().__init__()
        self.taps = backbone.taps
        self.tower = tower
        self.channel_weights = channel_weights
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    def forward(self, x: Float[Tensor, "1 3 h w"], y: Float[Tensor, "1 3 h w"]) -> Tensor:
        """Distance of two images in [-1, 1]."""
        if min(x.min(), y.min()) < -1 or max(x.max(), y.max()) > 1:
            raise ValueError("LPIPS takes images in [-1, 1]")
        distance = x.new_zeros(())
        for a, b, weight in zip(
            self._features(x), self._features(y), self.channel_weights, strict=True
        ):
            squared = (_unit_channels(a) - _unit_channels(b)) ** 2
            distance = distance + (squared * weight).sum(dim=1).mean()
        return distance

    def _features(self, image: Tensor) -> list[Tensor]:
        features = []
        activations = (image - self.shift) / self.scale
        for index, module in enumerate(self.tower):
            activations = module(activations)
            if index in self.taps:
                features.append(activations)
        return features


def _unit_channels(features: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c h w"]:
    return features / (features.norm(dim=1, keepdim=True) + 1e-10)


@functools.cache
def load_distance(backbone: Backbone, weights_folder: Path) -> PerceptualDistance:
    """Load published weights; absent or damaged ones are an `InputError` that says what to do."""
    tower = tower_of(backbone)
    loaded = _load(weights_folder / backbone.weights, backbone.name)
    prefix = "features."
    try:
        tower.load_state_dict(
            {k.removeprefix(prefix): v for k, v in loaded.items() if k.startswith(prefix)}
        )
    except RuntimeError as error:
        raise InputError(
            f"{weights_folder / backbone.weights}: not the weights of {backbone.name}; "
            "remove and fetch again"
        ) from error
    linear = _load(weights_folder / backbone.linear_weights, backbone.name)
    channel_weights = [linear[f"lin{i}.model.1.weight"] for i in range(len(backbone.taps))]
    return PerceptualDistance(backbone, tower, channel_weights).eval()


def _load(path: Path, name: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise MissingWeightsError(
            f"{name}: {path} is absent; run: nir fetch {name}_backbone {name}"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        kind = type(error).__name__
        raise InputError(f"{path}: damaged weights ({kind}); remove and fetch again") from error


@torch.no_grad()
def _lpips(
    backbone: Backbone,
    prediction: NDArray[np.floating],
    reference: NDArray[np.floating],
    weights_folder: Path | None,
) -> float:
    if weights_folder is None:
        raise MissingWeightsError(f"{backbone.name}: no folder of weights was named")
    distance = load_distance(backbone, weights_folder)
    x, y = (
        torch.from_numpy(np.clip(image, 0, 1).astype(np.float32)).permute(2, 0, 1)[None] * 2 - 1
        for image in (prediction, reference)
    )
    return distance(x.expand(1, 3, -1, -1), y.expand(1, 3, -1, -1)).item()


def lpips_vgg(
    prediction: NDArray[np.floating],
    reference: NDArray[np.floating],
    *,
    weights_folder: Path | None = None,
) -> float:
    """LPIPS with VGG16, of images [H, W, 1 or 3] in [0, 1] (mapped to [-1, 1] here)."""
    return _lpips(VGG16, prediction, reference, weights_folder)


def lpips_alex(
    prediction: NDArray[np.floating],
    reference: NDArray[np.floating],
    *,
    weights_folder: Path | None = None,
) -> float:
    """LPIPS with AlexNet, of images [H, W, 1 or 3] in [0, 1] (mapped to [-1, 1] here)."""
    return _lpips(ALEXNET, prediction, reference, weights_folder)
