"""Calculus: a field's value with its derivatives by the coordinates.

A field is any function from coordinates [..., d] to values [..., C] that treats each point by
itself. Results: value [..., C], gradient [..., C, d], Laplacian [..., C], second derivatives
[..., C, d], Hessian [..., C, d, d]; a complex field has its real and its imaginary part as two
channels. All of them can be differentiated once more by the field's parameters: that is how a loss
on a derivative trains.

Two modes, equal to rounding. "taylor" carries value, first and second derivatives through the
field in one forward sweep (`jets`). "autograd" nests torch's reverse mode and works for whatever
torch can differentiate twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from nir.operators.jet_rules import sweep
from nir.operators.sweeps import Form

Field = Callable[[Tensor], Tensor]
Mode = Literal["taylor", "autograd"]


def value_and_gradient(
    field: Field, coordinates: Float[Tensor, "*points d"], *, mode: Mode = "autograd"
) -> tuple[Float[Tensor, "*points c"], Float[Tensor, "*points c d"]]:
    """Value and gradient of a field.

    A lone gradient of one channel is reverse mode's: an eikonal training step (SIREN 3 -> 256 x 3
    -> 1, one core) takes 0.5 times as long as in Taylor mode, 0.7 times with two coordinates. With
    as many channels as coordinates it turns round: 1.1 times as long, with three channels of two
    coordinates 1.6 times; then ask for "taylor".

    >>> value, gradient = value_and_gradient(lambda x: x**2, torch.tensor([[3.0]]))
    >>> value.tolist(), gradient.tolist()
    ([[9.0]], [[[6.0]]])
    """
    if mode == "autograd":
        with _Tape(coordinates) as tape:
            value = field(tape.coordinates)
            return tape.finished(value, tape.jacobian(value))
    form = Form(coordinates.shape[-1], 0, ())
    value, first, _ = sweep(field, coordinates, form)
    return value, first.movedim(0, -1)


def value_gradient_and_laplacian(
    field: Field,
    coordinates: Float[Tensor, "*points d"],
    weights: Sequence[float | int] | None = None,
    *,
    mode: Mode = "taylor",
) -> tuple[Float[Tensor, "*points c"], Float[Tensor, "*points c d"], Float[Tensor, "*points c"]]:
    """Value, gradient and sum_i w_i d^2/dx_i^2 of a field.

    weights: one a coordinate, all 1 for the Laplacian; (1, -c^2, -c^2) for the wave operator on
    coordinates (t, x, y).

    >>> saddle = lambda x: x[..., :1] ** 2 - x[..., 1:] ** 2
    >>> value_gradient_and_laplacian(saddle, torch.tensor([[1.0, 2.0]]))[2].tolist()
    [[0.0]]
    >>> value_gradient_and_laplacian(saddle, torch.tensor([[1.0, 2.0]]), (1, -1))[2].tolist()
    [[4.0]]
    """
    d = coordinates.shape[-1]
    weights = [1.0] * d if weights is None else weights
    value, gradient, second = value_gradient_and_combinations(
        field, coordinates, [weights], mode=mode
    )
    return value, gradient, second[..., 0]


def value_gradient_and_second_derivatives(
    field: Field, coordinates: Float[Tensor, "*points d"], *, mode: Mode = "taylor"
) -> tuple[Float[Tensor, "*points c"], Float[Tensor, "*points c d"], Float[Tensor, "*points c d"]]:
    """Value, gradient and the unmixed second derivatives d^2/dx_i^2 of a field."""
    d = coordinates.shape[-1]
    each = [[float(i == j) for i in range(d)] for j in range(d)]
    return value_gradient_and_combinations(field, coordinates, each, mode=mode)


def value_gradient_and_combinations(
    field: Field,
    coordinates: Float[Tensor, "*points d"],
    weights: Sequence[Sequence[float | int]],
    *,
    mode: Mode = "taylor",
) -> tuple[Float[Tensor, "*points c"], Float[Tensor, "*points c d"], Float[Tensor, "*points c k"]]:
    """Value, gradient and k weighted sums of unmixed second derivatives of a field.

    weights: [k][d]; one row costs less than d of them: ((1, 0, 0), (0, 1, 1)) gives u_tt and
    u_xx + u_yy on coordinates (t, x, y), for a velocity that varies from point to point.

    >>> bowl = lambda x: x[..., :1] ** 2 + 3 * x[..., 1:] ** 2
    >>> sums = ((1, 0), (1, 1))
    >>> value_gradient_and_combinations(bowl, torch.zeros(1, 2), sums)[2].tolist()
    [[[2.0, 8.0]]]
    """
    d = coordinates.shape[-1]
    for row in weights:
        if len(row) != d:
            raise ValueError(f"{len(row)} weights for {d} coordinates")
    if mode == "autograd":
        with _Tape(coordinates) as tape:
            value = field(tape.coordinates)
            gradient = tape.jacobian(value)
            second = torch.stack(
                [tape.jacobian(gradient[..., i])[..., i] for i in range(d)], dim=-1
            )
            table = second.new_tensor([list(map(float, row)) for row in weights])
            return tape.finished(value, gradient, second @ table.T)
    terms = tuple(
        (j, i, i, float(w)) for j, row in enumerate(weights) for i, w in enumerate(row) if w
    )
    value, first, second = sweep(field, coordinates, Form(d, len(weights), terms))
    return value, first.movedim(0, -1), second.movedim(0, -1)


def value_gradient_and_hessian(
    field: Field, coordinates: Float[Tensor, "*points d"], *, mode: Mode = "taylor"
) -> tuple[
    Float[Tensor, "*points c"], Float[Tensor, "*points c d"], Float[Tensor, "*points c d d"]
]:
    """Value, gradient and all second derivatives, mixed ones too, of a field.

    >>> value_gradient_and_hessian(lambda x: x[..., :1] * x[..., 1:], torch.zeros(1, 2))[2].tolist()
    [[[[0.0, 1.0], [1.0, 0.0]]]]
    """
    d = coordinates.shape[-1]
    if mode == "autograd":
        with _Tape(coordinates) as tape:
            value = field(tape.coordinates)
            gradient = tape.jacobian(value)
            rows = [tape.jacobian(gradient[..., i]) for i in range(d)]
            return tape.finished(value, gradient, torch.stack(rows, dim=-2))
    pairs = [(p, q) for p in range(d) for q in range(p, d)]
    form = Form(d, len(pairs), tuple((j, p, q, 1.0) for j, (p, q) in enumerate(pairs)))
    value, first, upper = sweep(field, coordinates, form)
    place = {pair: j for j, pair in enumerate(pairs)}
    order = [place[min(p, q), max(p, q)] for p in range(d) for q in range(d)]
    hessian = upper[order].movedim(0, -1).unflatten(-1, (d, d))
    return value, first.movedim(0, -1), hessian


class _Tape:
    """Reverse mode by the coordinates; its results have a graph only where the caller records."""

    def __init__(self, coordinates: Tensor) -> None:
        self.recording = torch.is_grad_enabled()
        self.enabled = torch.enable_grad()
        self.given = coordinates

    def __enter__(self) -> _Tape:
        self.enabled.__enter__()
        given = self.given
        self.coordinates = given if given.requires_grad else given.detach().requires_grad_()
        return self

    def __exit__(self, *error: Any) -> None:
        self.enabled.__exit__(*error)

    def jacobian(self, value: Tensor) -> Tensor:
        """Derivatives [..., C, d] of [..., C], one backward sweep a channel."""
        return torch.stack([self._gradient(channel) for channel in value.unbind(-1)], dim=-2)

    def _gradient(self, channel: Tensor) -> Tensor:
        if not channel.requires_grad:  # it does not depend on anything, as a ReLU's slope
            return torch.zeros_like(self.coordinates)
        return torch.autograd.grad(
            channel.sum(), self.coordinates, create_graph=True, materialize_grads=True
        )[0]

    def finished(self, *results: Tensor) -> tuple[Tensor, ...]:
        """The results, cut from the graph unless the caller records one."""
        return results if self.recording else tuple(r.detach() for r in results)


def in_chunks(
    function: Callable[..., tuple[Tensor, ...]], *points: Tensor, points_per_chunk: int
) -> tuple[Tensor, ...]:
    """The tensors that `function(*points)` gives, evaluated without a graph a few points at a time.

    For predictions on more points than fit; training has `losses_in_chunks`.

    >>> double = lambda x: (2 * x,)
    >>> in_chunks(double, torch.arange(3.0)[:, None], points_per_chunk=2)[0].flatten().tolist()
    [0.0, 2.0, 4.0]
    """
    pieces = []
    for chunk in _chunks(points, points_per_chunk):
        results = function(*chunk)
        pieces.append([result.detach() for result in results])
    return tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))


def losses_in_chunks(
    losses: Callable[..., dict[str, Tensor]],
    *points: Tensor,
    parameters: Iterable[Tensor],
    points_per_chunk: int,
) -> dict[str, Tensor]:
    """The named losses `losses(*points)`, each a sum over points, in bounded memory.

    points: coordinates and whatever belongs to them, [points, ...] each. points_per_chunk: 0 is all
    at once, as plain losses. Every chunk's gradient by
    the parameters is taken at once and its graph given up, so that the peak is that of one chunk
    and nothing is computed twice. The results can be differentiated as usual, but only by
    `parameters` and only as a common multiple of their sum: all terms share one gradient. A mean
    must be written as a sum divided by the number of all points.

    >>> slope = torch.tensor(1.0, requires_grad=True)
    >>> squares = lambda x: {"squares": ((slope * x) ** 2).sum()}
    >>> x = torch.tensor([1.0, 2.0, 3.0])
    >>> total = losses_in_chunks(squares, x, parameters=[slope], points_per_chunk=2)["squares"]
    >>> total.backward()
    >>> total.item(), slope.grad.item()
    (14.0, 28.0)
    """
    if points_per_chunk == 0 or points_per_chunk >= len(points[0]):
        return losses(*points)
    parameters = [p for p in parameters if p.requires_grad]
    recording = torch.is_grad_enabled() and bool(parameters)
    totals: dict[str, Tensor] = {}
    gradients = [torch.zeros_like(p) for p in parameters]
    for chunk in _chunks(points, points_per_chunk):
        terms = losses(*chunk)
        if recording:
            parts = torch.autograd.grad(
                sum(terms.values()), parameters, allow_unused=True, materialize_grads=True
            )
            for gradient, part in zip(gradients, parts, strict=True):
                gradient += part
        for name, term in terms.items():
            totals[name] = totals.get(name, 0) + term.detach()
    if not recording:
        return totals
    values = _WithGradients.apply(torch.stack(list(totals.values())), gradients, *parameters)
    return dict(zip(totals, values.unbind(), strict=True))


def _chunks(points: tuple[Tensor, ...], points_per_chunk: int) -> Iterator[tuple[Tensor, ...]]:
    if points_per_chunk < 1:
        raise ValueError(f"points_per_chunk must be at least 1, not {points_per_chunk}")
    return zip(*(tensor.split(points_per_chunk) for tensor in points), strict=True)


class _WithGradients(torch.autograd.Function):
    """Terms whose sum's gradient by the parameters is known already."""

    @staticmethod
    def forward(ctx: Any, terms: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return terms.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        scale = cotangent[0]
        if not bool((cotangent == scale).all()):
            raise ValueError("losses evaluated in chunks can only be differentiated as their sum")
        return None, None, *(scale * gradient for gradient in ctx.gradients)
