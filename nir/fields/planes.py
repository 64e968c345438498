"""A field of planes: what stands on each plane of a stack, and how its colour turns with the view.

Plane d belongs to group g = d // planes_per_group. At a position x on it and for a direction v

    alpha_d(x)                                 from the main network, of every plane its own;
    C(x, v) = k0_g(x) + Σ_n k_{g,n} H_n(v)     clamped to [0, 1]: NeX, equation 4.

k0, the **base colour**, is explicit: one picture a group, bilinear. The **coefficients** k_n come
from the main network and the **basis** H_n(v) from one that knows the direction alone, the same
for the whole scene. As in the paper's code, a ray takes a group's coefficients *where it meets
the group's first plane*, for all planes of the group; base colour and alpha it takes from each
plane at its own position. Beside the picture alpha is 0. Directions are unit vectors from the
camera, in the reference camera's axes (x right, y down, z forward).

For those who bake: a group's textures are `base_texture()[g]` and `coefficients(g, texels)`, a
plane's `alpha(d, texels)`, at `stack.texel_positions()`; `basis(directions)` is all that remains
at view time. `stack` has depths, the reference camera and the margin.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.errors import InputError
from nir.networks.planes import PlaneNetwork
from nir.operators.planes import (
    PlaneStack,
    is_inside,
    sample_textures,
    weights_of_logits,
)

OUTSIDE = -1e4
"""Raw alpha beside a plane's picture: none at all."""


class PlaneField(nn.Module):
    """Alpha, base colour, coefficients and basis of the planes of `stack`.

    network: its outputs are raw alpha, then 3 · basis.count coefficients, then 3 of the base colour
    if that is not explicit (`outputs_needed`). basis: maps unit directions to `basis.count` values
    (0: colour does not depend on the view). base_shrink: texels of the picture that share one
    texel of k0 along each side; 0: k0 comes from the network. transparency: subtracted from raw
    alpha.
    """

    def __init__(
        self,
        stack: PlaneStack,
        *,
        network: PlaneNetwork,
        basis: nn.Module,
        base_shrink: int = 1,
        transparency: float = 5.0,  # nex-code: alpha = sigmoid(x - 5), planes begin transparent
        generator: Generator,
    ) -> None:
        super().__init__()
        self.stack, self.network, self.basis = stack, network, basis
        self.transparency = transparency
        self.base: nn.Parameter | None = None
        if base_shrink:
            size = stack.intrinsics
            shape = (stack.groups, 3, -(-size.height // base_shrink), -(-size.width // base_shrink))
            # nex-code:train.py: uniform in [-1, 1], seen through a sigmoid
            self.base = nn.Parameter(torch.rand(shape, generator=generator) * 2 - 1)
        heights = torch.linspace(-1, 1, stack.planes)
        self.register_buffer("heights", heights, persistent=False)
        needed = outputs_needed(basis.count, base_shrink)
        if network.outputs != needed:
            raise InputError(f"the main network has {network.outputs} outputs, not {needed}")

    @property
    def device(self) -> torch.device:
        """Where the field is."""
        return self.heights.device

    def alpha(self, plane: int, positions: Float[Tensor, "points 2"]) -> Float[Tensor, " points"]:
        """What plane number `plane` covers at positions on it, in [0, 1]; 0 beside the picture."""
        hidden, inside = self._hidden_on(plane, positions)
        return torch.sigmoid(self._raw_alpha(hidden, inside))

    def coefficients(
        self, group: int, positions: Float[Tensor, "points 2"]
    ) -> Float[Tensor, "points basis 3"]:
        """k_n of a group, in [-1, 1], at positions on its first plane."""
        hidden, _ = self._hidden_on(group * self.stack.planes_per_group, positions)
        return self._coefficients(hidden)

    def base_colour(
        self, group: int, positions: Float[Tensor, "points 2"]
    ) -> Float[Tensor, "points 3"]:
        """k0 of a group, in [0, 1], at positions on its planes."""
        if self.base is None:
            hidden, _ = self._hidden_on(group * self.stack.planes_per_group, positions)
            return self._base_of(hidden)
        normalised = self.stack.normalised(positions)[None]
        return sample_textures(torch.sigmoid(self.base[group : group + 1]), normalised)[0, :, 0].T

    def base_texture(self) -> Float[Tensor, "groups 3 height width"]:
        """k0 of all groups as pictures, in [0, 1]; coarser than the planes if so built."""
        if self.base is not None:
            return torch.sigmoid(self.base)
        texels = self.stack.texel_positions(device=self.device)
        size = self.stack.intrinsics
        pictures = [self.base_colour(group, texels).T for group in range(self.stack.groups)]
        return torch.stack(pictures).unflatten(-1, (size.height, size.width))

    def forward(
        self,
        positions: Float[Tensor, "planes rays 2"],
        directions: Float[Tensor, "rays 3"],
        *,
        textures: Float[Tensor, "groups 3 height width"] | None = None,
        twice_differentiable: bool = False,
    ) -> tuple[Float[Tensor, "groups 3 members rays"], Float[Tensor, "planes rays"]]:
        """Colours and weights of rays for `operators.planes.composite_planes`.

        positions: of `stack.positions(rays)`, directions: of `stack.directions(rays)`. textures:
        `base_texture()`, where the caller has it already. twice_differentiable: for losses on
        derivatives by the position. Under autocast the main network alone uses its precision.
        """
        normalised = self.stack.normalised(positions)
        hidden = self.network.hidden(normalised, self.heights)
        firsts = hidden[:: self.stack.planes_per_group]
        logits = self._raw_alpha(hidden, is_inside(normalised))
        if self.base is None:
            colour = self._shared_base(firsts)
        else:
            textures = self.base_texture() if textures is None else textures
            colour = sample_textures(
                textures, normalised, twice_differentiable=twice_differentiable
            )
        if self.basis.count:
            turning = (self._coefficients(firsts) * self.basis(directions)[..., None]).sum(-2)
            colour = (colour + turning.movedim(-1, 1)[:, :, None]).clamp(0, 1)
        return colour, weights_of_logits(logits)

    def _shared_base(self, firsts: Tensor) -> Float[Tensor, "groups 3 members rays"]:
        """The network's k0, the same for all planes of a group."""
        members = self.stack.planes_per_group
        return self._base_of(firsts).movedim(-1, 1)[:, :, None].expand(-1, -1, members, -1)

    def _hidden_on(self, plane: int, positions: Tensor) -> tuple[Tensor, Tensor]:
        normalised = self.stack.normalised(positions)
        hidden = self.network.hidden(normalised[None], self.heights[plane : plane + 1])
        return hidden[0], is_inside(normalised)

    def _raw_alpha(self, hidden: Tensor, inside: Tensor) -> Tensor:
        raw = self.network.read(hidden, 0, 1)[..., 0] - self.transparency
        return torch.where(inside > 0, raw, OUTSIDE)

    def _coefficients(self, hidden: Tensor) -> Tensor:
        raw = self.network.read(hidden, 1, 3 * self.basis.count)
        return torch.tanh(raw).unflatten(-1, (self.basis.count, 3))

    def _base_of(self, hidden: Tensor) -> Tensor:
        return torch.sigmoid(self.network.read(hidden, 1 + 3 * self.basis.count, 3))


def outputs_needed(coefficients: int, base_shrink: int) -> int:
    """How many outputs the main network must have.

    >>> outputs_needed(8, base_shrink=1)
    25
    """
    return 1 + 3 * coefficients + (0 if base_shrink else 3)


def total_variation(
    pictures: Float[Tensor, "groups channels height width"],
) -> Float[Tensor, " groups"]:
    """Σ (|difference across| + |difference down|) / ((H - 1)(W - 1)) of each picture.

    Summed over channels (nex-code:utils/mpi_utils.py, total_variation).
    """
    height, width = pictures.shape[-2:]
    if min(height, width) < 2:
        return pictures.new_zeros(len(pictures))
    across = (pictures[..., 1:] - pictures[..., :-1]).abs()
    down = (pictures[..., 1:, :] - pictures[..., :-1, :]).abs()
    total = across.sum((1, 2, 3)) + down.sum((1, 2, 3))
    return total / ((height - 1) * (width - 1))
