"""The network behind planes: from a place on a plane to its opacity and its coefficients (NeX).

Coordinates are (x, y) on the plane's picture, its edges at -1 and +1, and the plane's index z, the
first at -1 and the last at +1 (not its depth; nex-code:train.py). Planes are the leading axis, so
that what depends on z alone is computed once a plane.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from nir import encodings
from nir.networks.mlp import MLP, SineLayer


class OctaveEncoding(nn.Module):
    """`encodings.nex_encoding` by the double-angle formulas: one sine a coordinate, not `octaves`.

    Features are all sines, octave after octave, then all cosines. The error doubles with every
    octave and stays below 1e-4 for ten.
    """

    def __init__(self, dimensions: int, *, octaves: int) -> None:
        super().__init__()
        self.dimensions, self.octaves = dimensions, octaves
        self.features = 2 * dimensions * octaves

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch features"]:
        """sin and cos of 2^j (pi/2) u for j = 0 ... octaves - 1."""
        phase = coordinates * (math.pi / 2)
        sine, cosine = torch.sin(phase), torch.cos(phase)
        sines, cosines = [sine], [cosine]
        for _ in range(self.octaves - 1):
            sine, cosine = 2 * sine * cosine, 1 - 2 * sine * sine
            sines.append(sine)
            cosines.append(cosine)
        return torch.cat(sines + cosines, dim=-1)


class PlaneNetwork(nn.Module):
    """Hidden features of places on planes; see `nir.fields.planes` for what is read from them.

    encoding: "positional" (NeX's), "gaussian" (random features of x, y and z, as many) or "none".
    activation: any of `networks.MLP`, "sine" for SIREN. The output layer is split: `opacity` is
    asked of every plane, `coefficients` of the first of each group only.
    """

    def __init__(
        self,
        *,
        outputs: int,
        width: int = 384,  # nex-code: -hidden
        hidden_layers: int = 4,  # six linear maps in all
        position_octaves: int = 10,
        plane_octaves: int = 8,
        encoding: str = "positional",
        bandwidth: float = 8.0,
        activation: str = "leaky_relu",
        initialisation: str | None = "pytorch",  # nex-code keeps torch.nn.Linear's
        generator: Generator,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.position_encoding, self.plane_encoding = _encodings(
            encoding, position_octaves, plane_octaves, bandwidth, generator
        )
        self.mlp = MLP(
            self.position_encoding.features + self.plane_encoding.features,
            outputs,
            width=width,
            hidden_layers=hidden_layers,
            activation=activation,
            initialisation=initialisation,
            generator=generator,
        )

    def hidden(
        self, positions: Float[Tensor, "planes rays 2"], heights: Float[Tensor, " planes"]
    ) -> Float[Tensor, "planes rays width"]:
        """The last hidden layer; `heights` are the planes' z."""
        x = self._first_layer(positions, heights)
        for layer in self.mlp.layers[1:]:
            x = layer(x) if self.is_sine else self._activated(F.linear(x, layer.weight, layer.bias))
        return x

    @property
    def is_sine(self) -> bool:
        """Whether this is a SIREN."""
        return isinstance(self.mlp.layers[0], SineLayer)

    def _activated(self, x: Tensor) -> Tensor:
        """LeakyReLU in place: its derivative needs the output alone, which halves what is kept."""
        return F.leaky_relu_(x)

    def _first_layer(self, positions: Tensor, heights: Tensor) -> Tensor:
        """W (e(x, y), e(z)) + b, where what z adds is a bias of the plane."""
        first = self.mlp.layers[0]
        omega = first.omega_0 if self.is_sine else 1.0
        places = self.position_encoding.features
        with torch.autocast(positions.device.type, enabled=False):
            encoded = self.position_encoding(positions)
            encoded_plane = self.plane_encoding(heights[:, None])
            bias = F.linear(encoded_plane, first.weight[:, places:] * omega, first.bias * omega)
        x = F.linear(encoded, first.weight[:, :places] * omega)
        x = x + bias[:, None].to(x.dtype)
        return torch.sin(x) if self.is_sine else self._activated(x)

    def read(
        self, hidden: Float[Tensor, "*batch width"], first: int, count: int
    ) -> Float[Tensor, "*batch count"]:
        """Outputs `first` to `first + count - 1` of the last layer."""
        rows = slice(first, first + count)
        return F.linear(hidden, self.mlp.last.weight[rows], self.mlp.last.bias[rows]).float()


def _encodings(
    name: str, position_octaves: int, plane_octaves: int, bandwidth: float, generator: Generator
) -> tuple[nn.Module, nn.Module]:
    """Of (x, y) and of z."""
    if name == "none":
        return encodings.Identity(2), encodings.Identity(1)
    plane = OctaveEncoding(1, octaves=plane_octaves)
    if name == "gaussian":
        places = encodings.gaussian_features(
            2, count=2 * position_octaves, bandwidth=bandwidth, generator=generator
        )
        return places, plane
    return OctaveEncoding(2, octaves=position_octaves), plane
