"""The recipe that all recipes extend: how long and how a run trains; reading and checking.

Annotations are the schema: int, float, bool, str, `Literal[...]` and `tuple[T, ...]`. A value of
another type, or a key that does not exist, is an `InputError` that names the key.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nir.errors import InputError, unknown_name

SCHEMA_VERSION = 1
_ASKED = "asked afterwards"
_SUBJECT = "another subject"


def asked_afterwards(default: Any) -> Any:
    """Define a key that no training reads: it says what is asked of a model that is there."""
    return dataclasses.field(default=default, metadata={_ASKED: True})


def another_subject() -> Any:
    """Define a key that names a second subject, "" for none; a task is given its path instead."""
    return dataclasses.field(default="", metadata={_SUBJECT: True})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every training needs. Weights of loss terms belong to the recipe of their task."""

    steps: int
    learning_rate: float
    learning_rate_decay: float = 1.0  # factor reached at the last step, exponentially; 1: constant
    # sgd: Fourier Features' kernel experiments; lbfgs: the PINN that SIREN's equations compare with
    optimiser: Literal["adam", "sgd", "lbfgs"] = "adam"
    lbfgs_iterations: int = (
        50_000  # at most, on the points of one step; vsitzmann/siren:training.py
    )
    gradient_clip: float = 0.0  # largest norm of the gradient; 0: no clipping
    precision: Literal["float32", "bfloat16"] = "float32"  # of a step's products, see nir.precision
    log_every: int = 25  # Fourier Features' notebooks log every 25 steps

    def learning_rate_factor(self, step: int) -> float:
        """What the learning rate is multiplied by at `step`; tasks with other schedules override.

        >>> Recipe(steps=100, learning_rate=1.0, learning_rate_decay=0.1).learning_rate_factor(50)
        0.31622776601683794
        """
        return self.learning_rate_decay ** (step / max(self.steps, 1))

    def to_dict(self) -> dict[str, Any]:
        """All values with the schema's version, ready for canonical JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"schema": SCHEMA_VERSION, **values}

    def of_training(self) -> dict[str, Any]:
        """The values that decide the model: all but those of `asked_afterwards`."""
        asked = {field.name for field in dataclasses.fields(self) if _ASKED in field.metadata}
        return {key: value for key, value in self.to_dict().items() if key not in asked}

    def other_subjects(self) -> dict[str, str]:
        """By key: the subjects that the recipe names beside the run's own."""
        named = (field.name for field in dataclasses.fields(self) if _SUBJECT in field.metadata)
        return {key: getattr(self, key) for key in named if getattr(self, key)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
        """Check `values` against the annotations and build the recipe.

        where: prefix of error messages, such as "config.yaml: experiments.fourier/image".
        """
        values = {key: value for key, value in values.items() if key != "schema"}
        annotations = _annotations(cls)
        checked = {}
        for key, value in values.items():
            if key not in annotations:
                raise InputError(f"{where}.{key}: {unknown_name('key', key, annotations)}")
            checked[key] = _checked(annotations[key], value, f"{where}.{key}")
        missing = [
            f.name
            for f in dataclasses.fields(cls)
            if f.default is dataclasses.MISSING and f.name not in checked
        ]
        if missing:
            raise InputError(f"{where}: {', '.join(missing)} must be given")
        recipe = cls(**checked)
        recipe.check(where)
        return recipe

    def check(self, where: str) -> None:
        """Raise an `InputError` for values that no run can use; tasks extend this."""
        at_least(where, 0, steps=self.steps, gradient_clip=self.gradient_clip)
        at_least(where, 1, log_every=self.log_every, lbfgs_iterations=self.lbfgs_iterations)
        if self.optimiser == "lbfgs" and self.gradient_clip > 0:
            raise InputError(f"{where}.gradient_clip: lbfgs searches along true gradients; use 0")
        for key in ("learning_rate", "learning_rate_decay"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{where}.{key}: {value} must be positive and finite")


def at_least(where: str, smallest: float, **values: float) -> None:
    """Raise an `InputError` that names the first of `values` below `smallest`."""
    for key, value in values.items():
        if not value >= smallest:
            raise InputError(f"{where}.{key}: {value} is too small; {smallest} is the least")


@functools.cache
def _annotations(recipe: type[Recipe]) -> dict[str, Any]:
    return typing.get_type_hints(recipe)


def _checked(annotation: Any, value: Any, where: str) -> Any:
    """Return `value` as the annotated type, or raise."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        choices = typing.get_args(annotation)
        if value not in choices:
            raise InputError(f"{where}: {unknown_name('value', str(value), map(str, choices))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where}: a list is expected, not {value!r}")
        inner = typing.get_args(annotation)[0]
        return tuple(_checked(inner, item, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(annotation, types.UnionType):
        raise AssertionError(f"{where}: recipes have one type a key")
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not annotation:
        raise InputError(
            f"{where}: {annotation.__name__} is expected, not {type(value).__name__} {value!r}"
        )
    return value
