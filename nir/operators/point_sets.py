"""Losses of point sets and meshes: Chamfer distances and what keeps deformed meshes in shape.

Sets are [shapes, points, 3]; distances are exact and have gradients towards both sets.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def nearest_squared(
    points: Float[Tensor, "shapes n 3"], others: Float[Tensor, "shapes m 3"]
) -> tuple[Float[Tensor, "shapes n"], Int[Tensor, "shapes n"]]:
    """Squared distance of each point to the nearest of `others`, and which it is.

    >>> nearest_squared(torch.tensor([[[0.0, 0, 0]]]), torch.tensor([[[3.0, 0, 0], [0, 2, 0]]]))
    (tensor([[4.]]), tensor([[1]]))
    """
    with torch.no_grad():
        nearest = torch.cdist(points, others).argmin(dim=2)
    found = others.gather(1, nearest[..., None].expand(-1, -1, 3))
    return ((points - found) ** 2).sum(dim=-1), nearest


def chamfer_squared(
    predicted: Float[Tensor, "shapes n 3"],
    truth: Float[Tensor, "shapes m 3"],
    *,
    from_prediction: float = 1.0,
    from_truth: float = 1.0,
) -> Float[Tensor, " shapes"]:
    """Mean squared distances to the nearest point, of both sets, weighted and added."""
    there, _ = nearest_squared(predicted, truth)
    back, _ = nearest_squared(truth, predicted)
    return from_prediction * there.mean(dim=1) + from_truth * back.mean(dim=1)


def edge_lengths_squared(
    vertices: Float[Tensor, "shapes vertices 3"], edges: Int[Tensor, "edges 2"]
) -> Float[Tensor, "shapes edges"]:
    """Squared lengths of a mesh's edges."""
    return ((vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]]) ** 2).sum(dim=-1)


def laplacian_coordinates(
    vertices: Float[Tensor, "shapes vertices 3"], edges: Int[Tensor, "edges 2"]
) -> Float[Tensor, "shapes vertices 3"]:
    """Each vertex less the mean of its neighbours (Pixel2Mesh section 3.3)."""
    ends, others = torch.cat([edges, edges.flip(1)]).unbind(dim=1)
    total = torch.zeros_like(vertices).index_add(1, ends, vertices[:, others])
    count = torch.bincount(ends, minlength=vertices.shape[1]).clamp_min(1)
    return vertices - total / count[:, None]


def edge_normal_cosines(
    vertices: Float[Tensor, "shapes vertices 3"],
    edges: Int[Tensor, "edges 2"],
    truth: Float[Tensor, "shapes m 3"],
    normals: Float[Tensor, "shapes m 3"],
) -> Float[Tensor, "shapes edges"]:
    """|cosine| between each edge and the true normal nearest to its start, 0 where it is right."""
    _, nearest = nearest_squared(vertices.detach(), truth)
    at_vertices = normals.gather(1, nearest[..., None].expand(-1, -1, 3))
    along = F.normalize(vertices[:, edges[:, 1]] - vertices[:, edges[:, 0]], dim=-1)
    return (along * at_vertices[:, edges[:, 0]]).sum(dim=-1).abs()
