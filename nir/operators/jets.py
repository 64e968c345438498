"""Jets: a field's value with its derivatives by the coordinates, carried through any torch code.

A `Jet` looks like the tensor of values [..., C] and carries, for d coordinates, the first
derivatives [d, ..., C] and, as its `Form` says, k rows of second-order part [k, ..., C] (Taylor
mode; with the Laplacian as the single row this is the "forward Laplacian"). It stands in for the
coordinates: a field written with torch functions is differentiated without knowing it, because
each function comes here and is looked up in `RULES` (filled by `jet_rules`). A function without a
rule is an error that names it.

Two ways to be stored: *stacked*, all rows in one contiguous tensor [1 + d + k, ..., C], so that a
linear layer is one large matrix product; or as *parts*, where the second-order part may be None
(zero) and first derivatives may have size 1 along the points. The coordinates themselves start as
parts, with the identity as Jacobian: a linear map of them costs nothing extra.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nir.operators.elementwise import Elementwise
from nir.operators.sweeps import Form, apply_to_affine, apply_to_stack

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule under torch's names of the function (operators without their underscores)."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


class MissingRuleError(RuntimeError):
    """A torch function that jets do not know. Not a TypeError: operators swallow those."""


class Jet(Tensor):
    """A value with its derivatives; behaves as the value's tensor towards code that asks."""

    form: Form
    stack: Tensor | None
    parts: tuple[Tensor, Tensor, Tensor | None]

    @staticmethod
    def __new__(cls, form: Form, value: Tensor, *, stack: Tensor | None = None) -> Jet:
        """Use `of_stack` or `of_parts`."""
        jet = Tensor._make_wrapper_subclass(
            cls, value.shape, dtype=value.dtype, device=value.device
        )
        jet.form, jet.stack = form, stack
        return jet

    @staticmethod
    def of_stack(form: Form, stack: Tensor) -> Jet:
        """Jet of all rows in one tensor; 1 + d rows alone mean: second-order part zero."""
        return Jet(form, stack[0], stack=stack)

    @staticmethod
    def of_parts(form: Form, value: Tensor, first: Tensor, second: Tensor | None) -> Jet:
        """Jet of a value [..., C], first [d, ..., C] and second-order part [k, ..., C]."""
        jet = Jet(form, value)
        jet.parts = (value, first, second)
        return jet

    def __repr__(self) -> str:
        return f"Jet(shape={tuple(self.shape)}, dtype={self.dtype}, form={self.form})"

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Look the function up in the rules; properties are those of the value's tensor."""
        name = _name_of(func)
        if name in OF_THE_TENSOR:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        if name not in RULES:
            raise MissingRuleError(
                f"torch's {name} has no rule for derivatives in one sweep; "
                "use mode='autograd', or write the field with other functions"
            )
        return RULES[name](*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Nothing may pass below the rules."""
        raise MissingRuleError(f"{func} reached a jet without a rule; use mode='autograd'")


# What a field may ask its argument without touching its numbers.
ATTRIBUTES = ("shape", "dtype", "device", "ndim", "layout", "requires_grad", "is_cuda", "is_sparse")
QUESTIONS = ("dim", "size", "numel", "len", "is_floating_point", "is_complex", "is_contiguous")
OF_THE_TENSOR = frozenset((*ATTRIBUTES, *QUESTIONS))


def _name_of(func: Any) -> str:
    name = getattr(func, "__name__", str(func))
    if name == "__get__":
        return func.__self__.__name__
    return name[2:-2] if name.startswith("__") and name.endswith("__") else name


def parts_of(jet: Jet) -> tuple[Tensor, Tensor, Tensor | None]:
    """Value, first derivatives and second-order part, the last None where it is zero."""
    if jet.stack is None:
        return jet.parts
    split = jet.form.first_rows
    second = jet.stack[split:] if len(jet.stack) > split else None
    return jet.stack[0], jet.stack[1:split], second


def _spread(jet: Jet) -> list[Tensor | None]:
    """Rows [1, ...], [d, ...], [k, ...] or None, all of the value's full shape."""
    value, first, second = parts_of(jet)
    return [
        None if rows is None else rows.expand(len(rows), *value.shape)
        for rows in (value[None], first, second)
    ]


def stacked(jet: Jet, *, rows: int | None = None) -> Tensor:
    """All rows in one tensor; `rows` asks for that many, zeros where there was nothing."""
    missing = 0 if rows is None else rows - row_count(jet)
    if jet.stack is not None and not missing:
        return jet.stack
    pieces = [jet.stack] if jet.stack is not None else [p for p in _spread(jet) if p is not None]
    if missing:
        pieces.append(pieces[0].new_zeros(()).expand(missing, *pieces[0].shape[1:]))
    return torch.cat(pieces)


def row_count(jet: Jet) -> int:
    """Rows of the stacked form."""
    second = parts_of(jet)[2]
    return jet.form.first_rows + (0 if second is None else len(second))


def _is_affine(jet: Jet) -> bool:
    """Whether it is a linear map of the coordinates whose Jacobian is stored once."""
    if jet.stack is not None or jet.ndim < 2:
        return False
    value, first, second = jet.parts
    return second is None and first.shape[1:] == (*(1,) * (value.ndim - 1), value.shape[-1])


def apply_elementwise(function: Elementwise, jet: Jet) -> Jet:
    """The jet of an elementwise function."""
    if _is_affine(jet):
        value, first, _ = jet.parts
        return Jet.of_stack(jet.form, apply_to_affine(function, jet.form, value, first))
    return Jet.of_stack(jet.form, apply_to_stack(function, jet.form, stacked(jet)))


def map_rows(jet: Jet, operation: Callable[[Tensor], Tensor], *, spread: bool = True) -> Jet:
    """Apply a linear operation, which leaves dimension 0 alone, to every row alike.

    spread: the operation needs the value's full shape in all rows.
    """
    if jet.stack is not None:
        return Jet.of_stack(jet.form, operation(jet.stack))
    value, first, second = parts_of(jet)
    rows = _spread(jet) if spread else [value[None], first, second]
    value, first, second = (None if r is None else operation(r) for r in rows)
    return Jet.of_parts(jet.form, value[0], first, second)
