"""Refinement of extracted meshes: fewer triangles, and vertices moved by the field's gradients.

Both steps are optional and off in the released configurations of Occupancy Networks
(im2mesh/onet/generation.py, simplify_nfaces and refinement_step).
"""

from __future__ import annotations

from collections.abc import Callable

import igl
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn import functional as F

Probability = Callable[[Float[Tensor, "points 3"]], Float[Tensor, " points"]]


def simplified(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    *,
    faces_at_most: int = 5000,
) -> tuple[Float[np.ndarray, "kept 3"], Int[np.ndarray, "left 3"]]:
    """Collapse edges by quadric error until few enough faces are left (Garland and Heckbert 1997).

    Through libigl. The surface must be a manifold, as marching cubes makes it; where it is not, or
    has few enough faces already, it comes back as it is. 5000: the paper's optional setting.
    """
    if len(faces) <= faces_at_most or not igl.is_edge_manifold(_whole(faces)):
        return vertices, faces
    kept, left, _, _ = igl.qslim(
        np.asfortranarray(vertices, dtype=np.float64),
        np.asfortranarray(faces, dtype=np.int32),
        faces_at_most,
    )
    return kept.copy(order="C"), left.astype(np.int64, order="C")


def refined(
    vertices: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    probability: Probability,
    *,
    level: float,
    generator: Generator,
    steps: int = 30,
    learning_rate: float = 1e-4,
    normal_weight: float = 0.01,
    device: torch.device | str = "cpu",
) -> Float[np.ndarray, "vertices 3"]:
    """Move vertices so that faces lie on the level set and face along the gradient (equation 8).

    Each step minimises, at a point of every face drawn by Dirichlet(0.5) weights, (f - level)² +
    normal_weight |n - n_f|² by RMSprop; f is `probability`, n_f its downward unit gradient.
    """
    moved = torch.tensor(vertices, dtype=torch.float32, device=device, requires_grad=True)
    corners = torch.from_numpy(_whole(faces)).to(device)
    optimiser = torch.optim.RMSprop([moved], lr=learning_rate)
    for _ in range(steps):
        loss = _misfit(moved[corners], probability, level, normal_weight, generator)
        optimiser.zero_grad()
        loss.backward(inputs=[moved])
        optimiser.step()
    return moved.detach().cpu().numpy().astype(np.float64)


def _misfit(
    triangles: Float[Tensor, "faces 3 3"],
    probability: Probability,
    level: float,
    normal_weight: float,
    generator: Generator,
) -> Float[Tensor, ""]:
    draw = torch.randn(len(triangles), 3, 1, generator=generator, device=generator.device)
    weights = (draw**2 / (draw**2).sum(dim=1, keepdim=True)).to(triangles.device)
    points = (triangles * weights).sum(dim=1)  # squared normals, scaled: Dirichlet(0.5)
    values = probability(points)
    (gradient,) = torch.autograd.grad(values.sum(), points, create_graph=True)
    first, second, third = triangles.unbind(dim=1)
    normals = F.normalize(torch.linalg.cross(second - first, third - first), dim=-1)
    turned = (normals + F.normalize(gradient, dim=-1)).square().sum(dim=-1)
    return ((values - level) ** 2).mean() + normal_weight * turned.mean()


def _whole(faces: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(faces, dtype=np.int64)
