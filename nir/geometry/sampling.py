"""Samples along rays: where, between near and far, a field is asked.

`stratified_samples` covers the ray evenly, `importance_samples` follows weights found before
(inverse transform sampling), `fine_samples` joins both as NeRF's second pass does. Depths are the
parameters t of o + t·d. All randomness comes from an explicit generator; without one the samples
are the deterministic ones of test time.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor


def stratified_samples(
    near: Float[Tensor, " rays"],
    far: Float[Tensor, " rays"],
    count: int,
    *,
    generator: Generator | None = None,
    linear_in_disparity: bool = False,
) -> Float[Tensor, "rays count"]:
    """`count` increasing depths a ray (NeRF, equation 2, as the official code draws them).

    Without a generator they lie evenly from near to far, ends included (evenly in 1/t with
    `linear_in_disparity`). With one, each is drawn uniformly from its cell, whose edges are the
    midpoints between the even depths and the two ends.

    >>> stratified_samples(torch.tensor([2.0]), torch.tensor([6.0]), 5).tolist()
    [[2.0, 3.0, 4.0, 5.0, 6.0]]
    """
    along = torch.linspace(0, 1, count, dtype=near.dtype, device=near.device)
    near, far = near[:, None], far[:, None]
    if linear_in_disparity:
        depths = 1 / ((1 - along) / near + along / far)
    else:
        depths = near * (1 - along) + far * along
    if generator is None:
        return depths
    lower, upper = cell_edges(depths)
    jitter = torch.rand(depths.shape, generator=generator, dtype=near.dtype, device=near.device)
    return lower + (upper - lower) * jitter


def cell_edges(
    depths: Float[Tensor, "rays samples"],
) -> tuple[Float[Tensor, "rays samples"], Float[Tensor, "rays samples"]]:
    """Lower and upper edges of the cells around samples: midpoints, and the two ends."""
    middle = midpoints(depths)
    lower = torch.cat([depths[:, :1], middle], dim=1)
    upper = torch.cat([middle, depths[:, -1:]], dim=1)
    return lower, upper


def midpoints(depths: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays intervals"]:
    """The middles between neighbouring samples."""
    return 0.5 * (depths[:, 1:] + depths[:, :-1])


@torch.no_grad()
def importance_samples(
    bin_edges: Float[Tensor, "rays edges"],
    weights: Float[Tensor, "rays bins"],
    count: int,
    *,
    generator: Generator | None = None,
) -> Float[Tensor, "rays count"]:
    """Draw `count` depths from the piecewise constant density that `weights` give the bins.

    There is one more edge than there are bins. As in NeRF's `sample_pdf`: every bin gets 1e-5 on
    top of its weight, positions in the cumulative distribution are even (no generator) or
    uniformly random (then unsorted), and bins lighter than 1e-5 give their lower part.
    No gradient flows through the result.
    """
    lifted = weights + 1e-5
    cumulative = torch.cumsum(lifted / lifted.sum(-1, keepdim=True), dim=-1)
    cumulative = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative], dim=-1)
    shape = (len(weights), count)
    if generator is None:
        even = torch.linspace(0, 1, count, dtype=weights.dtype, device=weights.device)
        positions = even.expand(shape).contiguous()
    else:
        positions = torch.rand(
            shape, generator=generator, dtype=weights.dtype, device=weights.device
        )
    return _inverse_transform(bin_edges, cumulative, positions)


def _inverse_transform(
    bin_edges: Float[Tensor, "rays edges"],
    cumulative: Float[Tensor, "rays edges"],
    positions: Float[Tensor, "rays count"],
) -> Float[Tensor, "rays count"]:
    index = torch.searchsorted(cumulative, positions, right=True)
    below = (index - 1).clamp_min(0)
    above = index.clamp_max(cumulative.shape[-1] - 1)
    share_below, share_above = cumulative.gather(-1, below), cumulative.gather(-1, above)
    edge_below, edge_above = bin_edges.gather(-1, below), bin_edges.gather(-1, above)
    mass = share_above - share_below
    mass = torch.where(mass < 1e-5, torch.ones_like(mass), mass)
    return edge_below + (positions - share_below) / mass * (edge_above - edge_below)


def sorted_union(
    first: Float[Tensor, "rays some"], second: Float[Tensor, "rays others"]
) -> Float[Tensor, "rays all"]:
    """All depths of both, in increasing order along each ray."""
    return torch.cat([first, second], dim=-1).sort(dim=-1).values


def fine_samples(
    depths: Float[Tensor, "rays coarse"],
    weights: Float[Tensor, "rays coarse"],
    count: int,
    *,
    generator: Generator | None = None,
) -> Float[Tensor, "rays all"]:
    """NeRF's second pass: the coarse depths and `count` more where the coarse weights lie.

    The bins are the intervals between the middles of coarse samples; the first and last sample
    have no bin of their own.
    """
    added = importance_samples(midpoints(depths), weights[:, 1:-1], count, generator=generator)
    return sorted_union(depths.detach(), added)
