"""What each torch function does to a jet; `sweep` sends coordinates through a field.

A linear function acts on all rows alike; the product has the product rule; everything elementwise
is in `elementwise`. A field must act on each point by itself: a function that mixes points (a
convolution, a normalisation over the batch) has no derivatives by "the" coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nir.operators.elementwise import ELEMENTWISE, Number
from nir.operators.jets import (
    RULES,
    Jet,
    MissingRuleError,
    Rule,
    apply_elementwise,
    map_rows,
    parts_of,
    row_count,
    rule,
    stacked,
)
from nir.operators.sweeps import Form, linear_on_stack


def sweep(
    field: Callable[[Tensor], Tensor], coordinates: Tensor, form: Form
) -> tuple[Tensor, Tensor, Tensor]:
    """Value [..., C], first derivatives [d, ..., C], second-order rows [k, ..., C] of a field."""
    result = field(coordinates_as_jet(coordinates, form))
    if not isinstance(result, Jet):  # the field does not look at its coordinates
        zeros = result.new_zeros(())
        return (
            result,
            zeros.expand(form.dimensions, *result.shape),
            zeros.expand(form.rows, *result.shape),
        )
    rows = stacked(result, rows=form.first_rows + form.rows)
    return rows[0], rows[1 : form.first_rows], rows[form.first_rows :]


def coordinates_as_jet(coordinates: Tensor, form: Form) -> Jet:
    """The identity map's jet: first derivatives are the unit vectors, the second are zero."""
    d = form.dimensions
    identity = torch.eye(d, dtype=coordinates.dtype, device=coordinates.device)
    lone = (1,) * (coordinates.ndim - 1)
    return Jet.of_parts(form, coordinates, identity.reshape(d, *lone, d), None)


# ---- elementwise ----


def _elementwise_rule(name: str) -> Callable[..., Jet]:
    def apply(jet: Any, *args: Any, **kwargs: Any) -> Jet:
        if not isinstance(jet, Jet) or any(isinstance(a, Jet) for a in args):
            raise MissingRuleError(f"torch's {name} has no rule for a jet as second argument")
        return apply_elementwise(ELEMENTWISE[name](*args, **kwargs), jet)

    return apply


RULES.update({name: _elementwise_rule(name) for name in ELEMENTWISE})


# ---- linear maps of the last dimension ----


@rule("linear")
def _linear(jet: Any, weight: Tensor, bias: Tensor | None = None) -> Jet:
    if isinstance(weight, Jet) or isinstance(bias, Jet):
        raise MissingRuleError("torch's linear has no rule for weights that are jets")
    if jet.stack is not None:
        return Jet.of_stack(jet.form, linear_on_stack(jet.stack, weight, bias))
    value, first, second = parts_of(jet)
    second = None if second is None else F.linear(second, weight)
    return Jet.of_parts(jet.form, F.linear(value, weight, bias), F.linear(first, weight), second)


@rule("matmul", "mm", "bmm")
def _matmul(a: Any, b: Any) -> Jet:
    if isinstance(a, Jet) and isinstance(b, Jet):
        raise MissingRuleError("torch's matmul has no rule for two jets")
    if isinstance(b, Jet):
        return map_rows(b, lambda rows: torch.matmul(a, rows))
    return map_rows(a, lambda rows: torch.matmul(rows, b), spread=b.ndim > 2)


@rule("rmatmul")
def _matmul_into(a: Any, b: Any) -> Jet:
    return _matmul(b, a)


@rule("addmm", "baddbmm")
def _addmm(bias: Tensor, a: Any, b: Any) -> Jet:
    return _add(_matmul(a, b), bias)


@rule("einsum")
def _einsum(equation: str, *operands: Any) -> Jet:
    operands = operands[0] if isinstance(operands[0], Sequence) else operands
    (place,) = [i for i, o in enumerate(operands) if isinstance(o, Jet)]  # linear in one jet

    def contract(row: Tensor) -> Tensor:
        return torch.einsum(equation, *operands[:place], row, *operands[place + 1 :])

    return map_rows(operands[place], torch.vmap(contract))


# ---- arithmetic ----


def _aligned(rows: Tensor, ndim: int) -> Tensor:
    """Rows [r, ...] of a value with fewer dimensions, broadcastable to one with `ndim`."""
    return rows.reshape(len(rows), *(1,) * (ndim + 1 - rows.ndim), *rows.shape[1:])


def _ndim(operand: Any) -> int:
    return operand.ndim if isinstance(operand, Tensor) else 0


def _sum_of(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


@rule("add", "radd")
def _add(a: Any, b: Any, *, alpha: Number = 1) -> Jet:
    b = b if alpha == 1 else b * alpha
    if not isinstance(a, Jet):
        a, b = b, a
    ndim = max(_ndim(a), _ndim(b))
    if not isinstance(b, Jet):
        value, first, second = parts_of(a)
        second = None if second is None else _aligned(second, ndim)
        return Jet.of_parts(a.form, value + b, _aligned(first, ndim), second)
    if a.stack is not None and b.stack is not None and a.stack.shape == b.stack.shape:
        return Jet.of_stack(a.form, a.stack + b.stack)
    pieces = [
        [None if rows is None else _aligned(rows, ndim) for rows in parts_of(jet)[1:]]
        for jet in (a, b)
    ]
    first, second = (_sum_of(x, y) for x, y in zip(*pieces, strict=True))
    return Jet.of_parts(a.form, parts_of(a)[0] + parts_of(b)[0], first, second)


@rule("sub", "subtract")
def _subtract(a: Any, b: Any, *, alpha: Number = 1) -> Jet:
    return _add(a, -b if alpha == 1 else b * -alpha)


@rule("rsub")
def _subtract_from(a: Any, b: Any) -> Jet:
    return _add(_negative(a), b)


@rule("neg", "negative")
def _negative(jet: Jet) -> Jet:
    return map_rows(jet, torch.neg, spread=False)


@rule("mul", "multiply", "rmul")
def _multiply(a: Any, b: Any) -> Jet:
    if a is b:
        return apply_elementwise(ELEMENTWISE["square"](), a)
    if not isinstance(a, Jet):
        a, b = b, a
    return _product(a, b) if isinstance(b, Jet) else _with_constant(torch.mul, a, b)


def _with_constant(operation: Callable[..., Tensor], jet: Jet, other: Any) -> Jet:
    ndim = max(_ndim(jet), _ndim(other))
    return map_rows(jet, lambda rows: operation(_aligned(rows, ndim), other), spread=False)


def _product(a: Jet, b: Jet) -> Jet:
    ndim = max(a.ndim, b.ndim)
    (x, x1, x2), (y, y1, y2) = parts_of(a), parts_of(b)
    x1, y1 = _aligned(x1, ndim), _aligned(y1, ndim)
    second = a.form.product(x1, y1) if a.form.rows else None
    if x2 is not None:
        second = second + _aligned(x2, ndim) * y
    if y2 is not None:
        second = second + _aligned(y2, ndim) * x
    return Jet.of_parts(a.form, x * y, x1 * y + y1 * x, second)


@rule("div", "divide", "true_divide", "truediv")
def _divide(a: Any, b: Any) -> Jet:
    if not isinstance(b, Jet):
        return _with_constant(torch.div, a, b)
    return _multiply(a, apply_elementwise(ELEMENTWISE["reciprocal"](), b))


@rule("rdiv", "rtruediv")
def _divide_into(a: Any, b: Any) -> Jet:
    return _divide(b, a)


# ---- joining and choosing ----


def _common_rows(jets: Sequence[Any]) -> tuple[Form, list[Tensor]]:
    """Stacks of equal row count; plain tensors among the jets are constants."""
    some = [j for j in jets if isinstance(j, Jet)]
    form, rows = some[0].form, max(row_count(j) for j in some)
    return form, [stacked(j if isinstance(j, Jet) else constant(j, form), rows=rows) for j in jets]


def constant(tensor: Tensor, form: Form) -> Jet:
    """The jet of something that does not depend on the coordinates."""
    zero = tensor.new_zeros(()).expand(form.dimensions, *(1,) * tensor.ndim)
    return Jet.of_parts(form, tensor, zero, None)


def _after_rows(dim: int) -> int:
    return dim if dim < 0 else dim + 1


@rule("cat", "concat", "concatenate")
def _concatenate(jets: Sequence[Any], dim: int = 0) -> Jet:
    form, stacks = _common_rows(jets)
    return Jet.of_stack(form, torch.cat(stacks, dim=_after_rows(dim)))


@rule("stack")
def _stack(jets: Sequence[Any], dim: int = 0) -> Jet:
    form, stacks = _common_rows(jets)
    return Jet.of_stack(form, torch.stack(stacks, dim=_after_rows(dim)))


@rule("where")
def _where(condition: Tensor, a: Any, b: Any) -> Jet:
    like = a if isinstance(a, Jet) else b
    given = [
        t if isinstance(t, Tensor) else torch.as_tensor(t, dtype=like.dtype, device=like.device)
        for t in (a, b)
    ]
    form, stacks = _common_rows(given)
    ndim = max(condition.ndim, *(t.ndim for t in given))
    x, y = (_aligned(s, ndim) for s in stacks)
    return Jet.of_stack(form, torch.where(condition, x, y))


@rule("maximum")
def _maximum(a: Any, b: Any) -> Jet:
    return _where(_value(a) >= _value(b), a, b)


@rule("minimum")
def _minimum(a: Any, b: Any) -> Jet:
    return _where(_value(a) <= _value(b), a, b)


@rule("clamp", "clip")
def _clamp(jet: Jet, min: Number | None = None, max: Number | None = None) -> Jet:
    jet = jet if min is None else _maximum(jet, min)
    return jet if max is None else _minimum(jet, max)


def _value(operand: Any) -> Any:
    return parts_of(operand)[0] if isinstance(operand, Jet) else operand


def _on_values(name: str) -> Callable[..., Tensor]:
    """Comparisons and what cuts the graph: they see the value, the result is no jet."""

    def compare(*args: Any, **kwargs: Any) -> Tensor:
        values = [_value(a) for a in args]
        return getattr(torch, name)(*values, **kwargs)

    return compare


VALUES_ONLY = ("gt", "ge", "lt", "le", "eq", "ne", "detach", "zeros_like", "ones_like")
RULES.update({name: _on_values(name) for name in VALUES_ONLY})


# ---- shape, selection and sums: linear, and alike for all rows ----


@rule("getitem")
def _select(jet: Jet, index: Any) -> Jet:
    index = index if isinstance(index, tuple) else (index,)
    return map_rows(jet, lambda rows: rows[(slice(None), *index)], spread=not _keeps(index))


def _keeps(index: tuple[Any, ...]) -> bool:
    """Whether an index touches the last dimension only: x[..., i] or x[..., i:j]."""
    return len(index) == 2 and index[0] is Ellipsis and index[1] is not None


def _rowwise(name: str) -> Rule:
    def apply(jet: Jet, *args: Any, **kwargs: Any) -> Any:
        """The method of each row of the jet, several results one after the other."""

        def on_row(row: Tensor) -> Any:
            function = getattr(Tensor, name)
            return function(row, *args, **kwargs) if callable(function) else getattr(row, name)

        batched = torch.vmap(on_row)
        if name not in SEVERAL:
            return map_rows(jet, batched)
        pieces = len(on_row(parts_of(jet)[0]))
        return tuple(map_rows(jet, lambda rows, i=i: batched(rows)[i]) for i in range(pieces))

    return apply


SHAPES = ("reshape", "view", "reshape_as", "view_as", "flatten", "unflatten", "ravel")
DIMENSIONS = ("squeeze", "unsqueeze", "transpose", "permute", "movedim", "moveaxis", "t", "T", "mT")
SWAPS = ("swapaxes", "swapdims", "flip", "roll")
REPEATS = ("expand", "expand_as", "broadcast_to", "repeat", "tile", "repeat_interleave")
CHOICES = ("select", "narrow", "index_select")
SUMS = ("sum", "mean", "cumsum")
COPIES = ("contiguous", "clone", "to", "float", "double")
SEVERAL = ("split", "chunk", "unbind", "tensor_split")
for names in (SHAPES, DIMENSIONS, SWAPS, REPEATS, CHOICES, SUMS, COPIES, SEVERAL):
    RULES.update({name: _rowwise(name) for name in names})


@rule("norm", "linalg_norm", "linalg_vector_norm")
def _norm(jet: Jet, p: Any = 2, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Jet:
    """Euclidean length; like the square root it has no derivative where it is zero."""
    if kwargs.pop("ord", p) not in (2, "fro", None) or any(kwargs.values()) or dim is None:
        raise MissingRuleError("torch's norm has no rule but that of the length along a dim")
    return torch.sqrt(torch.sum(jet * jet, dim=dim, keepdim=keepdim))
