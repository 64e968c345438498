"""Hypernetworks: a code for an image, and the weights of a field made from it.

A *context* is what is known of an image: some pixels' coordinates and values. An encoder turns it
into a code z; one small ReLU network for each tensor of the field turns z into that tensor
(SIREN section 4.4, vsitzmann/siren:modules.py, meta_modules.py).
"""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from nir.networks.mlp import MLP, SineLayer


class SetEncoder(nn.Module):
    """The mean over known pixels of a sine network of (row, column, values)."""

    def __init__(self, channels: int, width: int, code_size: int, *, generator: Generator) -> None:
        super().__init__()
        sizes = [2 + channels, width, width, width, code_size]
        self.layers = nn.ModuleList(SineLayer(i, o) for i, o in itertools.pairwise(sizes))
        with torch.no_grad():
            for layer in self.layers:  # the hidden initialisation everywhere, the first included
                bound = math.sqrt(6 / layer.in_features) / layer.omega_0
                layer.weight.uniform_(-bound, bound, generator=generator)
                bound = 1 / math.sqrt(layer.in_features)
                layer.bias.uniform_(-bound, bound, generator=generator)

    def forward(
        self,
        coordinates: Float[Tensor, "images pixels 2"],
        values: Float[Tensor, "images pixels c"],
        known: Bool[Tensor, "images pixels"],
    ) -> Float[Tensor, "images code"]:
        """Encode the known pixels of each image; their order does not matter."""
        x = torch.cat([coordinates, values], dim=-1)
        for layer in self.layers:
            x = layer(x)
        weights = known / known.sum(dim=1, keepdim=True)
        return (x * weights[..., None]).sum(dim=1)


class ConvolutionEncoder(nn.Module):
    """A small residual network over the image whose unknown pixels are zero."""

    def __init__(
        self, channels: int, width: int, code_size: int, pixels: int, *, generator: Generator
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width // 2, 3, padding=1)
        self.second = nn.Conv2d(width // 2, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(width, width, 5, padding=2) for _ in range(2)) for _ in range(4)
        )
        self.last = nn.Conv2d(width, code_size, 1)
        self.pool = nn.Linear(pixels, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                _fill_like_pytorch(module, generator)

    def forward(self, images: Float[Tensor, "images c h w"]) -> Float[Tensor, "images code"]:
        """Encode images, zero where unknown."""
        x = self.second(torch.relu(self.first(images)))
        x = torch.relu(x)
        for first, second in self.blocks:
            x = torch.relu(x + second(torch.relu(first(x))))
        return self.pool(torch.relu(self.last(x)).flatten(2))[..., 0]


@torch.no_grad()
def _fill_like_pytorch(module: nn.Conv2d | nn.Linear, generator: Generator) -> None:
    """torch's default U(+-1/sqrt(fan-in)), from a generator of one's own."""
    bound = 1 / math.sqrt(module.weight[0].numel())
    module.weight.uniform_(-bound, bound, generator=generator)
    module.bias.uniform_(-bound, bound, generator=generator)


class HyperNetwork(nn.Module):
    """Makes the weights of a sine network from a code, one ReLU network a tensor."""

    def __init__(
        self, target: MLP, code_size: int, hyper_width: int, *, generator: Generator
    ) -> None:
        super().__init__()
        self.shapes = {name: tuple(p.shape) for name, p in target.named_parameters()}
        self.networks = nn.ModuleList()
        fan_in = 1
        for shape in self.shapes.values():
            fan_in = shape[1] if len(shape) == 2 else fan_in  # a bias follows its weights
            network = MLP(
                code_size,
                math.prod(shape),
                width=hyper_width,
                hidden_layers=1,
                generator=generator,
            )
            with torch.no_grad():
                network.last.weight.div_(100)
                network.last.bias.uniform_(-1 / fan_in, 1 / fan_in, generator=generator)
            self.networks.append(network)

    def forward(self, codes: Float[Tensor, "images code"]) -> dict[str, Tensor]:
        """Weights of one field an image, the images in front."""
        made = zip(self.shapes.items(), self.networks, strict=True)
        return {name: net(codes).unflatten(-1, shape) for (name, shape), net in made}


class ImagePrior(nn.Module):
    """Context -> code -> weights of a SIREN -> image."""

    def __init__(
        self, encoder: nn.Module | None, target: MLP, hyper: HyperNetwork, code_size: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.hyper = hyper
        self.code_size = code_size
        # Its own weights are never used: kept out of the parameters, and without memory.
        self._target = [target.to("meta")]

    def codes(
        self,
        coordinates: Float[Tensor, "images pixels 2"],
        values: Float[Tensor, "images pixels c"],
        known: Bool[Tensor, "images pixels"],
    ) -> Float[Tensor, "images code"]:
        """The code of each image's context; all pixels of square images for convolutions."""
        if self.encoder is None:
            return coordinates.new_zeros(len(coordinates), self.code_size)
        if isinstance(self.encoder, SetEncoder):
            return self.encoder(coordinates, values, known)
        side = math.isqrt(known.shape[1])
        seen = (values * known[..., None]).unflatten(1, (side, side))
        return self.encoder(seen.permute(0, 3, 1, 2))

    def evaluate(
        self, weights: dict[str, Tensor], coordinates: Float[Tensor, "points 2"]
    ) -> Float[Tensor, "images points c"]:
        """Every image's field at the same points."""
        target = self._target[0]
        return vmap(lambda w: functional_call(target, w, (coordinates,)))(weights)

    def forward(self, *context: Tensor) -> dict[str, Tensor]:
        """The weights of the fields that the contexts ask for."""
        return self.hyper(self.codes(*context))


def mean_square(tensors: dict[str, Tensor]) -> Tensor:
    """Mean of all squared numbers of several tensors.

    >>> mean_square({"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([2.0, 4.0])}).item()
    7.5
    """
    total = sum(F.mse_loss(t, torch.zeros_like(t), reduction="sum") for t in tensors.values())
    return total / sum(t.numel() for t in tensors.values())
