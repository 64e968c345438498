"""Encoders of shapes: from a picture, points, voxels or an index to a code.

Each encoder has `code_size` and gives one code a shape. Pictures are [shapes, 3, h, w] in [0, 1];
points lie in the unit cube; voxels are [shapes, x, y, z], 1 where occupied. The *posterior* encoder
of a variational model gives mean and log standard deviation instead.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nir.networks.occupancy import ResidualBlock, start_like_pytorch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the pictures that published weights were trained on; every picture is brought to these."""


class BasicBlock(nn.Module):
    """relu(x + two 3x3 convolutions of x), each batch-normalised (He et al. 2016, figure 5 left).

    Parameters have the names of the published weights' files.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        """Apply the block."""
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        # A 1x1 convolution with a stride reads no other pixels. Its own kernel for fewer than 8
        # channels writes beside its memory on processors with AVX2 alone (torch 2.13).
        kept = x[..., :: self.stride, :: self.stride]
        return torch.relu(inner + self.downsample(kept))


class ResNet18(nn.Module):
    """The convolutional part of ResNet-18: four stages of feature maps (He et al. 2016, table 1).

    width: channels of the first stage; 64 is the published network, fewer for small machines. A
    state dictionary of published ImageNet weights fits at width 64, its last layer left out.
    """

    def __init__(self, *, width: int = 64, generator: Generator) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.channels = tuple(width * 2**stage for stage in range(4))
        for stage, outputs in enumerate(self.channels):
            inputs = self.channels[max(stage - 1, 0)]
            blocks = (BasicBlock(inputs, outputs, 1 + (stage > 0)), BasicBlock(outputs, outputs, 1))
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self._start(generator)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    @torch.no_grad()
    def _start(self, generator: Generator) -> None:
        """N(0, 2 / fan-out) for convolutions, as the published network starts."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.weight[0, 0].numel() * module.out_channels
                module.weight.normal_(0, (2 / fan_out) ** 0.5, generator=generator)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _c _h _w"]]:
        """Feature maps of the four stages, each half as fine as the one before."""
        x = torch.relu(self.bn1(self.conv1((images - self.mean) / self.std)))
        x = F.max_pool2d(x, 3, 2, 1)
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class ImageEncoder(nn.Module):
    """ResNet-18, the mean over the last feature map, and a linear map to the code (5.1)."""

    def __init__(self, *, code_size: int = 256, width: int = 64, generator: Generator) -> None:
        super().__init__()
        self.code_size = code_size
        self.last = nn.Linear(width * 8, code_size)
        start_like_pytorch(self, generator)
        self.features = ResNet18(width=width, generator=generator)

    def forward(self, images: Float[Tensor, "shapes 3 h w"]) -> Float[Tensor, "shapes c"]:
        """Codes of pictures in [0, 1]."""
        return self.last(self.features(images)[-1].mean(dim=(2, 3)))


class PointEncoder(nn.Module):
    """Five residual blocks with the maximum over all points beside each point's own features.

    Does not depend on the order of the points (im2mesh/encoder/pointnet.py ResnetPointnet).
    """

    def __init__(self, *, code_size: int = 512, width: int = 512, generator: Generator) -> None:
        super().__init__()
        self.code_size = code_size
        self.first = nn.Linear(3, 2 * width)
        self.blocks = nn.ModuleList(ResidualBlock(2 * width, width) for _ in range(5))
        self.last = nn.Linear(width, code_size)
        start_like_pytorch(self, generator)
        for block in self.blocks:
            block.start()

    def forward(self, points: Float[Tensor, "shapes points 3"]) -> Float[Tensor, "shapes c"]:
        """Codes of sets of points."""
        x = self.blocks[0](self.first(points))
        for block in self.blocks[1:]:
            x = block(_beside_maximum(x))
        return self.last(torch.relu(x.amax(dim=1)))


class VoxelEncoder(nn.Module):
    """3-D convolutions, each after the first halving the grid (im2mesh/encoder/voxels.py).

    resolution: of the voxels; a multiple of 16.
    """

    def __init__(
        self,
        *,
        code_size: int = 256,
        width: int = 32,
        resolution: int = 32,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.code_size = code_size
        channels = [width * 2**depth for depth in range(5)]
        self.first = nn.Conv3d(1, width, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Conv3d(i, o, 3, stride=2, padding=1) for i, o in itertools.pairwise(channels)
        )
        self.last = nn.Linear(channels[-1] * (resolution // 16) ** 3, code_size)
        start_like_pytorch(self, generator)

    def forward(self, voxels: Float[Tensor, "shapes x y z"]) -> Float[Tensor, "shapes c"]:
        """Codes of occupancies on a grid."""
        x = self.first(voxels[:, None])
        for layer in self.layers:
            x = layer(torch.relu(x))
        return self.last(torch.relu(x).flatten(1))


class IndexEncoder(nn.Module):
    """A free code for each training shape, N(0, 1) at the start (representation power, 4.1)."""

    def __init__(self, shapes: int, *, code_size: int = 512, generator: Generator) -> None:
        super().__init__()
        self.code_size = code_size
        self.codes = nn.Parameter(torch.randn(shapes, code_size, generator=generator))

    def forward(self, indices: Int[Tensor, " shapes"]) -> Float[Tensor, "shapes c"]:
        """Codes of training shapes by number."""
        return self.codes[indices]


class PosteriorEncoder(nn.Module):
    """Mean and log standard deviation of a latent from points and their occupancies.

    im2mesh/onet/models/encoder_latent.py Encoder, with the maximum over points beside each
    point's own features after both hidden layers.
    """

    def __init__(self, *, latent_size: int = 128, width: int = 128, generator: Generator) -> None:
        super().__init__()
        self.position = nn.Linear(3, width)
        self.occupancy = nn.Linear(1, width)
        self.layers = nn.ModuleList(
            nn.Linear(inputs, width) for inputs in (width, 2 * width, 2 * width)
        )
        self.mean = nn.Linear(width, latent_size)
        self.log_deviation = nn.Linear(width, latent_size)
        start_like_pytorch(self, generator)

    def forward(
        self, points: Float[Tensor, "shapes points 3"], inside: Float[Tensor, "shapes points"]
    ) -> tuple[Float[Tensor, "shapes z"], Float[Tensor, "shapes z"]]:
        """Parameters of the normal distribution over latents."""
        x = self.position(points) + self.occupancy(inside[..., None])
        x = self.layers[0](torch.relu(x))
        for layer in self.layers[1:]:
            x = layer(torch.relu(_beside_maximum(x)))
        pooled = x.amax(dim=1)
        return self.mean(pooled), self.log_deviation(pooled)


def divergence_from_standard_normal(
    mean: Float[Tensor, "shapes z"], log_deviation: Float[Tensor, "shapes z"]
) -> Float[Tensor, " shapes"]:
    """Kullback-Leibler divergence from N(mean, deviation²) to N(0, 1), summed over the latent.

    >>> divergence_from_standard_normal(torch.tensor([[2.0]]), torch.zeros(1, 1)).item()
    2.0
    """
    return 0.5 * (mean**2 + torch.exp(2 * log_deviation) - 1 - 2 * log_deviation).sum(dim=-1)


def _beside_maximum(x: Float[Tensor, "shapes points w"]) -> Float[Tensor, "shapes points 2*w"]:
    return torch.cat([x, x.amax(dim=1, keepdim=True).expand_as(x)], dim=-1)
