"""Bases over viewing directions: how a colour may turn with the view (NeX, section 3.3).

A basis maps unit vectors in the reference camera's axes (x right, y down, z forward) to `count`
numbers. `count` 0 is the colour that does not turn.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.encodings import nex_encoding
from nir.networks import MLP


class LearnedBasis(nn.Module):
    """H_n(v) = tanh(network(encoding(v_x, v_y))): one network for the whole scene (NeX, 3.3)."""

    def __init__(
        self,
        count: int = 8,  # nex-code: -basis_out
        *,
        octaves: int = 3,  # nex-code: 12 features of (v_x, v_y)
        width: int = 64,
        hidden_layers: int = 1,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.count = count
        self.encoding = nex_encoding(2, octaves=octaves)
        self.mlp = MLP(
            self.encoding.features,
            count,
            width=width,
            hidden_layers=hidden_layers,
            activation="leaky_relu",
            output_activation="tanh",
            initialisation="pytorch",
            generator=generator,
        )

    def forward(self, directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch basis"]:
        """Values at unit directions in the reference camera's axes."""
        with torch.autocast(directions.device.type, enabled=False):
            return self.mlp(self.encoding(directions[..., :2]))
