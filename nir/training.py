"""The only training loop. It minimises what a task calls its losses, and knows no task.

Row `step` of the log holds the losses after `step` updates. Everything random in a step comes
from a generator that depends on (seed, step) alone; a run that was killed and started again ends
bit for bit as one that was not (same machine, CPU).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nir.checkpoints import Checkpoints
from nir.errors import InputError
from nir.optimisers import optimiser_from
from nir.precision import precision_of_products, products_in
from nir.progress import Progress
from nir.random import generator_for
from nir.recipes.base import Recipe
from nir.tasks.contract import Task

# Schedulers send the first before they kill, the last two as warnings of a time limit.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


class TrainingInterruptedError(Exception):
    """A signal asked the training to stop; its state is saved."""

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(
            f"stopped by {signal.Signals(signal_number).name} after step {step}, saved"
        )
        self.exit_code = 128 + signal_number


@dataclass
class State:
    """All that changes while a run trains."""

    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)

    def to_save(self, task: Task) -> dict[str, Any]:
        """Collect what a checkpoint holds."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "rows": self.rows,
            "field": task.field.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, task: Task, saved: dict[str, Any]) -> None:
        """Continue from what `to_save` collected."""
        task.field.load_state_dict(saved["field"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.seconds, self.rows = saved["step"], saved["seconds"], saved["rows"]


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains one task by one recipe."""

    recipe: Recipe
    seed: int
    device: torch.device
    checkpoints: Checkpoints
    progress: Progress
    checkpoint_seconds: float = 60.0

    def train(self, task: Task) -> State:
        """Minimise the task's losses for `recipe.steps` updates and return the final state.

        Raises `TrainingInterruptedError` on one of `SIGNALS`, after saving; `InputError` at the
        first loss that is not finite, naming term and step, after keeping the batch.
        """
        state = self._start(task)
        last_saved = time.monotonic()
        with _signals_noted() as noted:
            while state.step < self.recipe.steps:
                began = time.monotonic()
                self._update(task, state)
                state.seconds += time.monotonic() - began
                if noted or time.monotonic() - last_saved > self.checkpoint_seconds:
                    self.checkpoints.save(state.step, state.to_save(task))
                    last_saved = time.monotonic()
                if noted:
                    raise TrainingInterruptedError(noted[0], state.step)
        return self._finish(task, state)

    def _start(self, task: Task) -> State:
        groups = task.parameter_groups(self.recipe.learning_rate)
        state = State(optimiser_from(self.recipe, groups))
        for group in state.optimiser.param_groups:
            group["initial_lr"] = group["lr"]
        saved = self.checkpoints.load_last(self.device, self.progress.say)
        if saved is not None:
            state.restore(task, saved)
        begins = f"goes on from step {state.step} of" if saved is not None else "trains"
        self.progress.say(f"{begins} {self.recipe.steps} steps on {self.device.type}")
        if precision_of_products(self.recipe.precision, self.device) != self.recipe.precision:
            self.progress.say(
                f"{self.device.type} does not multiply {self.recipe.precision}: float32 instead"
            )
        return state

    def _update(self, task: Task, state: State) -> None:
        """One step of the optimiser; before it, the row of the log if one is due."""
        if task.restarted(state.step):
            state.optimiser.state.clear()
            self.progress.say(f"starts anew at step {state.step}: the first start had collapsed")
        batch = self._batch(task, state.step)
        terms = self._losses(task, batch)
        loss = torch.stack(list(terms.values())).sum()
        if state.step % self.recipe.log_every == 0:
            state.rows.append(self._row(task, state.step, terms))
        self._check_finite(state.step, terms, batch)
        if self.progress.due():
            self.progress.report(state.step, loss.item())
        factor = self.recipe.learning_rate_factor(state.step)
        for group in state.optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if isinstance(state.optimiser, torch.optim.LBFGS):
            self._search(task, state.optimiser, batch)
        else:
            self._descend(task, state.optimiser, loss)
        state.step += 1

    def _descend(self, task: Task, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        """One step along a gradient."""
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(task.field.parameters(), self.recipe.gradient_clip)
        optimiser.step()

    def _search(self, task: Task, optimiser: torch.optim.LBFGS, batch: Any) -> None:
        """Many iterations on the points of one step: a line search asks for the loss again."""

        def loss_with_gradient() -> Tensor:
            optimiser.zero_grad(set_to_none=True)
            loss = torch.stack(list(self._losses(task, batch).values())).sum()
            loss.backward()
            return loss

        optimiser.step(loss_with_gradient)

    def _finish(self, task: Task, state: State) -> State:
        """Log the last state; a checkpoint of it spares the training if writing goes wrong."""
        if not state.rows or state.rows[-1]["step"] != state.step:
            batch = self._batch(task, state.step)
            terms = self._losses(task, batch)
            self._check_finite(state.step, terms, batch, always=True)
            state.rows.append(self._row(task, state.step, terms))
        self.progress.report(state.step, state.rows[-1]["loss"])
        self.checkpoints.save(state.step, state.to_save(task))
        return state

    def _batch(self, task: Task, step: int) -> Any:
        return task.batch(step, generator_for(self.seed, "step", step, device=self.device))

    def _losses(self, task: Task, batch: Any) -> dict[str, Tensor]:
        with products_in(self.recipe.precision, self.device):
            return task.losses(batch)

    def _row(self, task: Task, step: int, terms: dict[str, Tensor]) -> dict[str, float]:
        values = {name: term.item() for name, term in terms.items()}
        row = {"step": step, "loss": math.fsum(values.values())}
        row |= {f"loss_{name}": value for name, value in values.items()}
        with torch.no_grad():
            return row | task.monitor()

    def _check_finite(
        self, step: int, terms: dict[str, Tensor], batch: Any, *, always: bool = False
    ) -> None:
        """Stop at the first term that is not finite.

        On the CPU every step is checked. On a GPU a check waits for the device, so it is made
        when a row is logged; a NaN stays a NaN until then.
        """
        if self.device.type != "cpu" and not always and step % self.recipe.log_every:
            return
        for name, term in terms.items():
            if not torch.isfinite(term):
                kept = self.checkpoints.keep_batch(step, name, _plain(batch))
                raise InputError(
                    f"{self.progress.label}: loss term {name!r} is {term.item()} at step {step}; "
                    f"the batch is kept in {kept}; try a smaller learning_rate"
                )


def _plain(batch: Any) -> Any:
    """A batch as tensors in dictionaries, which can be read without running code."""
    return dataclasses.asdict(batch) if dataclasses.is_dataclass(batch) else batch


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Collect `SIGNALS` instead of dying from them, until the block ends."""
    noted: list[int] = []
    previous = {n: signal.signal(n, lambda number, _frame: noted.append(number)) for n in SIGNALS}
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
