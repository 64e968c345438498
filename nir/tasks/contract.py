"""What training and prediction ask of a task, and nothing more.

A task is observations + field + operator + losses. It is built by the function `build` of its
module: `build(recipe, subject, *, device, generator) -> Task`, where `subject` is the path of the
signal and `generator` (on the CPU) decides everything random about the start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Generator, Tensor, nn

from nir.errors import InputError


@runtime_checkable
class Task(Protocol):
    """The contract. Subclass it explicitly to inherit the optional parts."""

    field: nn.Module
    """Holds every trained parameter and nothing else that changes."""

    def batch(self, step: int, generator: Generator) -> Any:
        """Return the observations of one step; a pure function of `step` and `generator`."""
        ...

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """Return named scalar terms with their weights applied; their sum is minimised."""
        ...

    def predict(self, out: Path) -> None:
        """Write predictions and references to the folder `out`, and nothing else."""
        ...

    def mesh(self, path: Path) -> None:
        """Write the surface that the field represents to `path` (.ply), if it has one."""
        raise InputError(f"{path}: this task's field has no surface; nir mesh is for shapes")

    def monitor(self) -> dict[str, float]:
        """Return numbers to log beside the losses, such as the error on unseen pixels."""
        return {}

    def restarted(self, step: int) -> bool:
        """Whether the field was just started anew; asked before each step.

        Then what the optimiser remembers of the old one is dropped. The decision may rest only on
        `step` and on the field's own state, which checkpoints hold.
        """
        return False

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the optimiser's parameter groups, for tasks with several learning rates."""
        return [{"params": list(self.field.parameters()), "lr": learning_rate}]
