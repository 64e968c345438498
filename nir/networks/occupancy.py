"""Networks of Occupancy Networks: from a point and a code to the logit of being inside.

A *code* describes one shape; `shapes` counts shapes and `points` the points asked of each. A
*decoder* takes (points, code) and gives logits, positive inside. *Conditional batch normalisation*
(CBN) normalises over all points of a batch and takes scale and shift from the code. The papers'
ablations are decoders of their own: without ResNet blocks, and without CBN.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

BLOCKS = 5
"""Residual blocks of every decoder (im2mesh/onet/models/decoder.py)."""


@torch.no_grad()
def start_like_pytorch(network: nn.Module, generator: Generator) -> None:
    """Fill linear maps and convolutions with U(+-1/sqrt(fan-in)), torch's default.

    Called first by each network here; what a paper starts otherwise is set after it.
    """
    convolutions = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose3d)
    for module in network.modules():
        if not isinstance(module, (nn.Linear, *convolutions)):
            continue
        bound = 1 / math.sqrt(module.weight[0].numel())
        module.weight.uniform_(-bound, bound, generator=generator)
        if module.bias is not None:
            module.bias.uniform_(-bound, bound, generator=generator)


class ConditionalBatchNorm(nn.Module):
    """gamma(c) (x - mean) / std + beta(c), statistics over all points of the batch.

    gamma and beta are linear in the code and start as 1 and 0, whatever the code
    (im2mesh/layers.py CBatchNorm1d). In evaluation the running statistics are used.
    """

    def __init__(self, code_size: int, width: int) -> None:
        super().__init__()
        self.gamma = nn.Linear(code_size, width)
        self.beta = nn.Linear(code_size, width)
        self.normalise = nn.BatchNorm1d(width, affine=False)

    def start(self) -> None:
        """Set gamma to 1 and beta to 0."""
        for linear, value in ((self.gamma, 1.0), (self.beta, 0.0)):
            nn.init.zeros_(linear.weight)
            nn.init.constant_(linear.bias, value)

    def forward(
        self, x: Float[Tensor, "shapes points w"], code: Float[Tensor, "shapes c"]
    ) -> Float[Tensor, "shapes points w"]:
        """Normalise, then scale and shift by the code."""
        gamma, beta = self.gamma(code)[:, None], self.beta(code)[:, None]
        if self.training:
            return torch.addcmul(beta, gamma, self.normalise(x.flatten(0, 1)).view_as(x))
        # Fixed statistics fold into scale and shift: one pass over the activations.
        statistics = self.normalise
        scale = gamma * torch.rsqrt(statistics.running_var + statistics.eps)
        return torch.addcmul(beta - scale * statistics.running_mean, scale, x)


class PlainBatchNorm(nn.Module):
    """Ordinary batch normalisation with the interface of the conditional one: ignores the code."""

    def __init__(self, code_size: int, width: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(width)

    def start(self) -> None:
        """Keep torch's start, scale 1 and shift 0."""

    def forward(
        self, x: Float[Tensor, "shapes points w"], code: Float[Tensor, "shapes c"]
    ) -> Float[Tensor, "shapes points w"]:
        """Normalise over all points."""
        return self.normalise(x.flatten(0, 1)).view_as(x)


class NormalisedBlock(nn.Module):
    """x + W1 relu(N(W0 relu(N(x)))), the last weights zero at the start."""

    def __init__(self, normalisation: type[nn.Module], code_size: int, width: int) -> None:
        super().__init__()
        self.first_norm = normalisation(code_size, width)
        self.first = nn.Linear(width, width)
        self.second_norm = normalisation(code_size, width)
        self.second = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "shapes points w"], code: Float[Tensor, "shapes c"]
    ) -> Float[Tensor, "shapes points w"]:
        """Apply the block."""
        inner = self.first(torch.relu(self.first_norm(x, code)))
        return x + self.second(torch.relu(self.second_norm(inner, code)))


class ResidualBlock(nn.Module):
    """shortcut(x) + W1 relu(W0 relu(x)), the last weights zero at the start.

    The shortcut is linear without bias where sizes differ (im2mesh/layers.py ResnetBlockFC).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        hidden = min(inputs, outputs)
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Linear(inputs, outputs, bias=False)

    def start(self) -> None:
        """Begin as the shortcut alone."""
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        """Apply the block."""
        return self.shortcut(x) + self.second(torch.relu(self.first(torch.relu(x))))


class Decoder(nn.Module):
    """What all decoders share: the first map of points, a latent added to it, the last map.

    latent_size: of a variational code z, added once after the first map; 0: none.
    """

    def __init__(self, *, code_size: int, latent_size: int = 0, width: int = 256) -> None:
        super().__init__()
        self.code_size = code_size
        self.first = nn.Linear(3, width)
        self.latent = nn.Linear(latent_size, width) if latent_size else None
        self.last = nn.Linear(width, 1)

    def _start(self, generator: Generator) -> None:
        start_like_pytorch(self, generator)
        for module in self.modules():
            if isinstance(module, ConditionalBatchNorm | PlainBatchNorm | ResidualBlock):
                module.start()
            if isinstance(module, NormalisedBlock):
                nn.init.zeros_(module.second.weight)

    def _begin(self, points: Tensor, latent: Tensor | None) -> Tensor:
        x = self.first(points)
        return x if self.latent is None else x + self.latent(latent)[:, None]


class ConditionalDecoder(Decoder):
    """Five ResNet blocks with CBN: the paper's decoder (decoder.py DecoderCBatchNorm).

    >>> decoder = ConditionalDecoder(code_size=256, generator=torch.Generator())
    >>> sum(p.numel() for p in decoder.parameters())
    2106625
    """

    def __init__(
        self, *, code_size: int, latent_size: int = 0, width: int = 256, generator: Generator
    ) -> None:
        super().__init__(code_size=code_size, latent_size=latent_size, width=width)
        self.blocks = nn.ModuleList(
            NormalisedBlock(ConditionalBatchNorm, code_size, width) for _ in range(BLOCKS)
        )
        self.norm = ConditionalBatchNorm(code_size, width)
        self._start(generator)

    def forward(
        self,
        points: Float[Tensor, "shapes points 3"],
        code: Float[Tensor, "shapes c"],
        latent: Float[Tensor, "shapes z"] | None = None,
    ) -> Float[Tensor, "shapes points"]:
        """Logits of being inside."""
        x = self._begin(points, latent)
        for block in self.blocks:
            x = block(x, code)
        return self.last(torch.relu(self.norm(x, code)))[..., 0]


class PlainConditionalDecoder(Decoder):
    """Five linear maps with CBN before each ReLU, no residuals (DecoderCBatchNormNoResnet)."""

    def __init__(
        self, *, code_size: int, latent_size: int = 0, width: int = 256, generator: Generator
    ) -> None:
        super().__init__(code_size=code_size, latent_size=latent_size, width=width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(BLOCKS))
        self.norms = nn.ModuleList(
            ConditionalBatchNorm(code_size, width) for _ in range(BLOCKS + 1)
        )
        self._start(generator)

    def forward(
        self,
        points: Float[Tensor, "shapes points 3"],
        code: Float[Tensor, "shapes c"],
        latent: Float[Tensor, "shapes z"] | None = None,
    ) -> Float[Tensor, "shapes points"]:
        """Logits of being inside."""
        x = self._begin(points, latent)
        for layer, norm in zip(self.layers, self.norms[:-1], strict=True):
            x = layer(torch.relu(norm(x, code)))
        return self.last(torch.relu(self.norms[-1](x, code)))[..., 0]


class AddedCodeDecoder(Decoder):
    """The code is added once, before five ResNet blocks; no CBN.

    normalised: with ordinary batch normalisation (DecoderBatchNorm, the ablation "No CBN"), else
    with none (DecoderSimple, of the unconditional model, whose code may have size 0).
    """

    def __init__(
        self,
        *,
        code_size: int,
        latent_size: int = 0,
        width: int = 256,
        normalised: bool = True,
        generator: Generator,
    ) -> None:
        super().__init__(code_size=code_size, latent_size=latent_size, width=width)
        self.code = nn.Linear(code_size, width) if code_size else None
        self.blocks = nn.ModuleList(
            NormalisedBlock(PlainBatchNorm, code_size, width)
            if normalised
            else ResidualBlock(width, width)
            for _ in range(BLOCKS)
        )
        self.norm = PlainBatchNorm(code_size, width) if normalised else None
        self._start(generator)

    def forward(
        self,
        points: Float[Tensor, "shapes points 3"],
        code: Float[Tensor, "shapes c"],
        latent: Float[Tensor, "shapes z"] | None = None,
    ) -> Float[Tensor, "shapes points"]:
        """Logits of being inside."""
        x = self._begin(points, latent)
        if self.code is not None:
            x = x + self.code(code)[:, None]
        for block in self.blocks:
            x = block(x) if self.norm is None else block(x, code)
        if self.norm is not None:
            x = self.norm(x, code)
        return self.last(torch.relu(x))[..., 0]


DECODERS = {
    "conditional": ConditionalDecoder,
    "conditional_plain": PlainConditionalDecoder,
    "added": AddedCodeDecoder,
}
"""By the names that recipes use."""
