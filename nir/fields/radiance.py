"""Radiance fields: colour and density as functions of position and viewing direction.

They obey the contract of `operators.volume`: rgb in [0, 1], raw density of the points' shape.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir import encodings
from nir.networks.radiance import RadianceNetwork


class RadianceField(nn.Module):
    """F(x, d) = network(encoding(x), encoding(d)), colours through a sigmoid (NeRF, section 3).

    octaves: of the positions' and the directions' encoding; 0 is the coordinate itself. Without
    `use_view_directions` colour depends on the position alone.
    """

    def __init__(
        self,
        *,
        position_octaves: int = 10,
        direction_octaves: int = 4,
        use_view_directions: bool = True,
        width: int = 256,
        depth: int = 8,
        initialisation: str = "glorot_uniform",
        generator: Generator,
    ) -> None:
        super().__init__()
        self.position_encoding = _encoding(position_octaves)
        self.direction_encoding = _encoding(direction_octaves)
        self.network = RadianceNetwork(
            self.position_encoding.features,
            self.direction_encoding.features if use_view_directions else 0,
            width=width,
            depth=depth,
            skip=4,
            initialisation=initialisation,
            generator=generator,
        )

    def forward(
        self, points: Float[Tensor, "*batch 3"], view_directions: Float[Tensor, "#*batch 3"]
    ) -> tuple[Float[Tensor, "*batch 3"], Float[Tensor, "*batch"]]:
        """Colour in [0, 1] and raw density."""
        directions = None
        if self.network.has_view_branch:
            directions = _encoded(self.direction_encoding, view_directions)
        raw_colour, density = self.network(_encoded(self.position_encoding, points), directions)
        return torch.sigmoid(raw_colour.float()), density.float()

    def density(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch"]:
        """Raw density alone, for meshes and for finding empty space."""
        return self.network.density_of(_encoded(self.position_encoding, points)).float()


def _encoding(octaves: int) -> nn.Module:
    if octaves == 0:
        return encodings.Identity(3)
    return encodings.nerf_encoding(3, octaves=octaves)


def _encoded(encoding: nn.Module, coordinates: Tensor) -> Tensor:
    """Encode in float32 whatever the precision of the products: octave 10 turns every 0.006 units.

    The result is rounded at once where the network would round it at each of its two uses.
    """
    device = coordinates.device.type
    with torch.autocast(device, enabled=False):
        encoded = encoding(coordinates)
    if torch.is_autocast_enabled(device):
        return encoded.to(torch.get_autocast_dtype(device))
    return encoded
