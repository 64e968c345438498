"""The optimisers that recipes name.

`torch.optim` wraps its methods so that torch's compiler leaves them alone, and imports that
compiler on the first call: that takes as long as torch itself, which short trainings feel. Nothing
here compiles an optimiser, so these do without the wrapping.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import Optimizer

from nir.recipes.base import Recipe

LBFGS_HISTORY = 50  # gradients kept; vsitzmann/siren:training.py


class _Uncompiled:
    """Stands before an optimiser of torch."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class Adam(_Uncompiled, torch.optim.Adam):
    """Adam (Kingma and Ba 2015)."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class GradientDescent(_Uncompiled, torch.optim.SGD):
    """Stochastic gradient descent."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class LimitedMemoryBFGS(_Uncompiled, torch.optim.LBFGS):
    """L-BFGS, which asks for the loss many times a step."""


OPTIMISERS = {"adam": Adam, "sgd": GradientDescent}


def optimiser_from(recipe: Recipe, groups: list[dict[str, Any]]) -> Optimizer:
    """The optimiser that a recipe names; L-BFGS with a strong Wolfe line search has one group."""
    if recipe.optimiser != "lbfgs":
        return OPTIMISERS[recipe.optimiser](groups, fused=True)
    return LimitedMemoryBFGS(
        [parameter for group in groups for parameter in group["params"]],
        lr=recipe.learning_rate,
        max_iter=recipe.lbfgs_iterations,
        history_size=LBFGS_HISTORY,
        line_search_fn="strong_wolfe",
    )
