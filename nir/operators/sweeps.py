"""Elementwise functions of jets: f(z) with its derivatives by the coordinates, in one pass.

With z's derivatives by the coordinates z_p and its second-order rows z_j, the chain rule reads

    value     f(z)
    first     f'(z) z_p
    second    f'(z) z_j + f''(z) B_j(z, z),      B_j(a, b) = sum w a_p b_q over the form's terms.

Vocabulary: *rows* are the leading dimension of a stacked tensor, 1 value, d first derivatives,
k second-order rows; the *form* is the symmetric bilinear B that says which second derivatives are
carried; *push* is the forward sweep, *pull* its adjoint, written by hand (`tests` check both with
finite differences). On one processor core the work is done in blocks that fit its cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nir.operators.elementwise import Elementwise

# A block's row holds this many numbers: 256 KiB in float32. A SIREN of width 256, 16,384 points, on
# one thread: 2^14 to 2^16 alike, all points at once 1.1 to 1.2 times as long. With several threads
# the points are taken at once, since each block would cost a barrier for every operation.
BLOCK_NUMBERS = 2**16


@dataclass(frozen=True)
class Form:
    """Which second derivatives are carried: `rows` of them, B_j(a, b) = sum of w a_p b_q.

    terms: (j, p, q, w) with p <= q; one with p < q stands for the symmetric part,
    w (a_p b_q + a_q b_p) / 2, so that a mixed derivative has weight 1.
    """

    dimensions: int
    rows: int
    terms: tuple[tuple[int, int, int, float], ...]

    @property
    def first_rows(self) -> int:
        """Rows of a jet whose second-order part is zero or not wanted."""
        return 1 + self.dimensions

    def square(self, first: Tensor) -> Tensor:
        """B(first, first), [k, ...] from [d, ...]."""
        rows = first.new_empty(self.rows, *first.shape[1:])
        started: set[int] = set()
        for j, p, q, weight in self.terms:
            if j in started:
                rows[j].addcmul_(first[p], first[q], value=weight)
            else:
                torch.mul(first[p], first[q], out=rows[j])
                if weight != 1:
                    rows[j].mul_(weight)
                started.add(j)
        for j in set(range(self.rows)) - started:
            rows[j].zero_()
        return rows

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        """2 B(a, b), the mixed part of the product rule, differentiable; [k, ...]."""
        rows = [torch.zeros_like(a[0] * b[0])] * self.rows
        for j, p, q, weight in self.terms:
            mixed = 2 * a[p] * b[p] if p == q else a[p] * b[q] + a[q] * b[p]
            rows[j] = rows[j] + weight * mixed
        return torch.stack(rows)

    def add_adjoint_of_square(self, into: Tensor, cotangent: Tensor, first: Tensor) -> None:
        """into_p += d(sum_j cotangent_j B_j(first, first)) / d first_p."""
        for j, p, q, weight in self.terms:
            if p == q:
                into[p].addcmul_(cotangent[j], first[p], value=2 * weight)
            else:
                into[p].addcmul_(cotangent[j], first[q], value=weight)
                into[q].addcmul_(cotangent[j], first[p], value=weight)


def apply_to_stack(function: Elementwise, form: Form, stack: Tensor) -> Tensor:
    """The function of a jet given as one tensor [1 + d (+ k), ...]."""
    rows = _rows_of_result(function, form, len(stack) > form.first_rows)
    return _OnStack.apply(stack, function, form, rows)


def apply_to_affine(function: Elementwise, form: Form, value: Tensor, first: Tensor) -> Tensor:
    """The function of a jet with the same first derivatives [d, 1, ..., 1, C] at all points.

    Its second derivatives are zero: a linear map of the coordinates.
    """
    rows = _rows_of_result(function, form, False)
    return _OnAffine.apply(value, first, function, form, rows)


def _rows_of_result(function: Elementwise, form: Form, has_second: bool) -> int:
    curved = has_second or function.second is not None
    return form.first_rows + (form.rows if curved else 0)


def _points_and_features(tensor: Tensor) -> Tensor:
    """View [rows, ..., C] as [rows, points, C]."""
    if tensor.ndim < 3:
        return tensor.reshape(len(tensor), -1, 1)
    return tensor.flatten(1, -2)


def _blocks(points: int, features: int, device: torch.device) -> Iterator[slice]:
    size = max(1, points)
    if device.type == "cpu" and torch.get_num_threads() == 1:
        size = max(1, BLOCK_NUMBERS // max(1, features))
    for start in range(0, points, size):
        yield slice(start, start + size)


def _push(
    function: Elementwise, form: Form, z: Tensor, first: Tensor, second: Tensor, result: Tensor
) -> Tensor:
    """Write the jet of function(z) into `result` [rows, points, C]; return f'."""
    split = form.first_rows
    f = function.value(z)
    result[0].copy_(f)
    slope = function.first(z, f)
    torch.mul(first, slope, out=result[1:split])
    rows = result[split:]
    if len(rows) and len(second):
        torch.mul(second, slope, out=rows)
        if function.second is not None:
            rows.addcmul_(form.square(first), function.second(z, f, slope))
    elif len(rows):
        torch.mul(form.square(first), function.second(z, f, slope), out=rows)
    return slope


def _dot(a: Tensor, b: Tensor) -> Tensor:
    total = a[0] * b[0]
    for left, right in zip(a[1:], b[1:], strict=True):
        total.addcmul_(left, right)
    return total


def _pull(
    function: Elementwise,
    form: Form,
    jet: tuple[Tensor, Tensor, Tensor],
    known: tuple[Tensor, Tensor],
    cotangent: Tensor,
    into: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Adjoint of `_push`: from the result's cotangent to that of (z, first, second).

    known: f and f' as `_push` left them.
    """
    (z, first, second), (f, slope), (to_z, to_first, to_second) = jet, known, into
    split = form.first_rows
    on_first, on_second = cotangent[1:split], cotangent[split:]
    torch.mul(cotangent[0], slope, out=to_z)
    torch.mul(on_first, slope, out=to_first)
    if len(second):
        torch.mul(on_second, slope, out=to_second)
    if function.second is None:
        return
    curvature = function.second(z, f, slope)
    bent = _dot(first, on_first)
    if len(on_second):
        if len(second):
            bent.add_(_dot(second, on_second))
        form.add_adjoint_of_square(to_first, on_second * curvature, first)
        if function.third is not None:
            third = function.third(z, f, slope, curvature)
            to_z.addcmul_(_dot(form.square(first), on_second), third)
    to_z.addcmul_(bent, curvature)


class _OnStack(torch.autograd.Function):
    """Elementwise function of a stacked jet."""

    @staticmethod
    def forward(ctx: Any, stack: Tensor, function: Elementwise, form: Form, rows: int) -> Tensor:
        """Value and derivatives of the function, block by block."""
        stack = stack.contiguous()
        result = stack.new_empty(rows, *stack.shape[1:])
        slope = torch.empty_like(stack[0])
        x, y = _points_and_features(stack), _points_and_features(result)
        slopes = _points_and_features(slope[None])[0]
        split = form.first_rows
        for block in _blocks(*x.shape[1:], stack.device):
            jet = x[:, block]
            slopes[block] = _push(function, form, jet[0], jet[1:split], jet[split:], y[:, block])
        ctx.save_for_backward(stack, result, slope)
        ctx.function, ctx.form = function, form
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Pull the cotangent of all rows back, block by block."""
        stack, result, slope = ctx.saved_tensors
        split = ctx.form.first_rows
        to_stack = torch.empty_like(stack)
        x, y, dy, dx = map(_points_and_features, (stack, result, cotangent.contiguous(), to_stack))
        slopes = _points_and_features(slope[None])[0]
        for block in _blocks(*x.shape[1:], stack.device):
            jet, into = x[:, block], dx[:, block]
            _pull(
                ctx.function,
                ctx.form,
                (jet[0], jet[1:split], jet[split:]),
                (y[0, block], slopes[block]),
                dy[:, block],
                (into[0], into[1:split], into[split:]),
            )
        return to_stack, None, None, None


class _OnAffine(torch.autograd.Function):
    """Elementwise function of a linear map of the coordinates: first derivatives are constant."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, first: Tensor, function: Elementwise, form: Form, rows: int
    ) -> Tensor:
        """The same where the first derivatives are the same at every point."""
        result = value.new_empty(rows, *value.shape)
        slope = torch.empty_like(value, memory_format=torch.contiguous_format)
        z = _points_and_features(value.contiguous()[None])[0]
        constant, y = _points_and_features(first), _points_and_features(result)
        slopes = _points_and_features(slope[None])[0]
        for block in _blocks(*z.shape, value.device):
            slopes[block] = _push(function, form, z[block], constant, constant[:0], y[:, block])
        ctx.save_for_backward(value, first, result, slope)
        ctx.function, ctx.form = function, form
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Pull back; what reaches a constant derivative is summed over points."""
        value, first, result, slope = ctx.saved_tensors
        z, slopes = (_points_and_features(t.contiguous()[None])[0] for t in (value, slope))
        constant, y, dy = map(_points_and_features, (first, result, cotangent.contiguous()))
        to_value, to_first = torch.empty_like(z), torch.zeros_like(constant)
        for block in _blocks(*z.shape, value.device):
            spread = dy.new_empty(ctx.form.dimensions, *z[block].shape)
            _pull(
                ctx.function,
                ctx.form,
                (z[block], constant, constant[:0]),
                (y[0, block], slopes[block]),
                dy[:, block],
                (to_value[block], spread, spread[:0]),
            )
            to_first += spread.sum(1, keepdim=True)
        return to_value.view(value.shape), to_first.view(first.shape), None, None, None


def linear_on_stack(stack: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b of a stacked jet: one matrix product for all rows, the bias for the value alone."""
    return _Linear.apply(stack, weight, bias)


class _Linear(torch.autograd.Function):
    """Written out, because adding the bias to one row in place costs autograd a copy of all."""

    @staticmethod
    def forward(ctx: Any, stack: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(stack, weight)
        result = torch.matmul(stack, weight.t())
        if bias is not None:
            result[0].add_(bias)
        return result

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        """Products with the transposed weight and with the stack; the bias has one row's."""
        stack, weight = ctx.saved_tensors
        to_stack = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_stack = torch.matmul(cotangent, weight)
        if ctx.needs_input_grad[1]:
            to_weight = cotangent.flatten(0, -2).t() @ stack.flatten(0, -2)
        if ctx.needs_input_grad[2]:
            to_bias = cotangent[0].flatten(0, -2).sum(0) if stack.ndim > 2 else cotangent[0]
        return to_stack, to_weight, to_bias
