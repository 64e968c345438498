"""Pre-flight: before a long run starts, what is missing, how long it will take, whether it fits.

A *recipe's cost* is measured by building its task and making two steps: the seconds of the second,
and the bytes that training holds: on a GPU the peak, on a CPU parameters with gradient and two
moments, the batch, and all that autograd keeps between forward and backward.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nir.data.fetch import fetch
from nir.data.registry import registry
from nir.doctor import available_memory_bytes
from nir.errors import InputError
from nir.experiments import Experiment, Run, experiments_of, trained_alike
from nir.memory import is_out_of_memory
from nir.progress import format_seconds
from nir.random import generator_for
from nir.runs import build_task, choose_device
from nir.specification import RunSpecification
from nir.tasks.contract import Task

COPIES_OF_PARAMETERS = 4  # weights, gradient, Adam's two moments
SECONDS_OF_ONE_MEASUREMENT = 10
START_SECONDS = 3.0  # the process that trains imports torch, and predicts for the next one, too
GIB = 2**30
WHAT_TO_DO = "give it a smaller budget in config.yaml"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one training takes."""

    seconds: float
    bytes: int
    at_least: bool = False  # it was too slow to be measured to the end
    fits: bool = True


TOO_LARGE = Cost(seconds=0.0, bytes=0, at_least=True, fits=False)
"""Of what ran out of memory while it was measured; how much it would take is not known."""


def examine_plan(config: Mapping[str, Any], *, data_root: Path, seconds: float) -> Iterator[str]:
    """Say what a configuration lacks, and about how long and large its trainings are here."""
    every = experiments_of(config)
    experiments = _trained_by_themselves(every)
    count = sum(len(e.runs) for e in experiments.values())
    yield f"scale {config['scale']}: {len(every)} experiments, {count} trainings"
    yield from missing_data(experiments, data_root)
    if seconds <= 0:
        return
    device = choose_device("auto")
    threads = config["threads"][config["scale"]]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        costs = measure(experiments, data_root, device, seconds)
    finally:
        torch.set_num_threads(before)
    yield from _report(experiments, costs, device, _side_by_side(device, threads))


def _trained_by_themselves(experiments: Mapping[str, Experiment]) -> dict[str, Experiment]:
    """The experiments without runs that take the model of another run."""
    alike = trained_alike(experiments)
    return {
        name: dataclasses.replace(experiment, runs=runs)
        for name, experiment in experiments.items()
        if (runs := tuple(run for run in experiment.runs if run.place not in alike))
    }


def missing_data(experiments: Mapping[str, Experiment], data_root: Path) -> Iterator[str]:
    """One line for each data set that is not there, with the experiments that need it."""
    needing: dict[str, list[str]] = {}
    for name, experiment in experiments.items():
        for dataset in dict.fromkeys(name for run in experiment.runs for name in run.datasets):
            if not is_present(dataset, data_root):
                needing.setdefault(dataset, []).append(name)
    for dataset, names in needing.items():
        entry = registry()[dataset]
        todo = f"nir fetch {dataset}" if entry.source == "download" else entry.hint
        yield f"MISSING {dataset}, for {', '.join(names)}: {todo}"
    if not needing:
        yield "data: all that these experiments need is here or is made on the way"


def is_present(name: str, data_root: Path) -> bool:
    """Whether a data set needs neither a network nor the user."""
    entry = registry()[name]
    return entry.source not in ("download", "manual") or (data_root / entry.path).exists()


def measure(
    experiments: Mapping[str, Experiment], data_root: Path, device: torch.device, seconds: float
) -> dict[str, Cost]:
    """Measure recipes, in turn over experiments, until the time is used up.

    Returns costs by `recipe_key`.
    """
    deadline = time.monotonic() + seconds
    costs: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for run in _in_turn(experiments):
            if time.monotonic() > deadline:
                break
            key = recipe_key(run)
            if key in costs or not all(is_present(name, data_root) for name in run.datasets):
                continue
            with contextlib.suppress(InputError):  # said when the run itself is made
                root = _root_with(run.dataset, data_root, Path(scratch))
                costs[key] = _cost_if_it_fits(run, root, device)
    return costs


def _cost_if_it_fits(run: Run, data_root: Path, device: torch.device) -> Cost:
    try:
        return cost_of(run, data_root, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    if device.type == "cuda":
        torch.cuda.empty_cache()  # for the next one, now that the error holds nothing any more
    return TOO_LARGE


def _root_with(name: str | None, data_root: Path, scratch: Path) -> Path:
    """The data root, or `scratch` for what is made on the way and is not yet there."""
    if name is None or registry()[name].source != "generated":
        return data_root
    if (data_root / registry()[name].path).exists():
        return data_root
    fetch(name, data_root=scratch)
    return scratch


def recipe_key(run: Run) -> str:
    """Runs with the same key cost the same: they differ in seed or subject alone."""
    return f"{run.task} {run.recipe_json}"


def _in_turn(experiments: Mapping[str, Experiment]) -> Iterator[Run]:
    """The last run of each experiment (often the largest), then the ones before."""
    queues = [list(experiment.runs) for experiment in experiments.values()]
    while any(queues):
        for queue in filter(None, queues):
            yield queue.pop()


def cost_of(run: Run, data_root: Path, device: torch.device) -> Cost:
    """Build a run's task, make two steps and return what the whole training would cost."""
    specification = RunSpecification(
        task=run.task, subject=run.trained_on, seed=run.seed, recipe=run.recipe
    )
    began = time.monotonic()
    task = build_task(specification, data_root, device)
    started = START_SECONDS + time.monotonic() - began
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    held = _Held(sum(p.numel() * p.element_size() for p in task.field.parameters()))
    try:
        with _at_most(SECONDS_OF_ONE_MEASUREMENT):
            _step(task, 0, run.seed, device, held)
            began = time.monotonic()
            _step(task, 1, run.seed, device, None)
            a_step = time.monotonic() - began
    except _TooSlowError:
        a_step = float(SECONDS_OF_ONE_MEASUREMENT)
    size = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else held.total
    return Cost(
        seconds=started + a_step * run.recipe.steps,
        bytes=size,
        at_least=a_step >= SECONDS_OF_ONE_MEASUREMENT,
    )


class _Held:
    """Counts the bytes that autograd keeps, each storage once."""

    def __init__(self, parameter_bytes: int) -> None:
        self.total = COPIES_OF_PARAMETERS * parameter_bytes
        self._seen: set[int] = set()
        self._kept: list[Tensor] = []  # a freed storage's address could be given out again

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, torch.nn.Parameter) and storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self._kept.append(tensor)
            self.total += storage.nbytes()
        return tensor


def _step(task: Task, step: int, seed: int, device: torch.device, held: _Held | None) -> None:
    batch = task.batch(step, generator_for(seed, "step", step, device=device))
    counting: Any = contextlib.nullcontext()
    if held is not None:
        for tensor in _tensors(batch):
            held.add(tensor)
        counting = torch.autograd.graph.saved_tensors_hooks(held.add, lambda tensor: tensor)
    with counting:
        loss = torch.stack(list(task.losses(batch).values())).sum()
        if loss.requires_grad:
            loss.backward()
    task.field.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif dataclasses.is_dataclass(batch):
        for field in dataclasses.fields(batch):
            yield from _tensors(getattr(batch, field.name))
    elif isinstance(batch, dict):
        for value in batch.values():
            yield from _tensors(value)


class _TooSlowError(Exception):
    """A step takes longer than a measurement may."""


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise `_TooSlowError` inside the block once it has taken that long."""

    def too_slow(*_: Any) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _side_by_side(device: torch.device, threads: int) -> int:
    if device.type == "cuda":
        return max(torch.cuda.device_count(), 1)
    return max((os.cpu_count() or 1) // threads, 1)


def _report(
    experiments: Mapping[str, Experiment],
    costs: Mapping[str, Cost],
    device: torch.device,
    side_by_side: int,
) -> Iterator[str]:
    width = max(map(len, experiments), default=0)
    total, partly = 0.0, False
    for name, experiment in experiments.items():
        found = [costs[k] for k in map(recipe_key, experiment.runs) if k in costs]
        known = [cost for cost in found if cost.fits]
        if not known:
            yield f"{name:{width}}  not measured"
            partly = True
            continue
        seconds = sum(c.seconds for c in known) / len(known) * len(experiment.runs)
        total += seconds
        slow = any(cost.at_least for cost in found)
        partly |= slow
        largest = max(cost.bytes for cost in known)
        more = "more than" if slow else "about"
        yield (
            f"{name:{width}}  {len(experiment.runs):4d} trainings  "
            f"{more} {format_seconds(seconds / side_by_side)}, {largest / GIB:.2f} GiB each"
        )
    distinct = {recipe_key(run) for e in experiments.values() for run in e.runs}
    yield (
        f"all: {'more than' if partly else 'about'} {format_seconds(total / side_by_side)} of "
        f"training on this {device.type}, {side_by_side} side by side "
        f"({len(costs)} of {len(distinct)} recipes measured)"
    )
    yield from _verdicts(experiments, costs, device, side_by_side)


def _verdicts(
    experiments: Mapping[str, Experiment],
    costs: Mapping[str, Cost],
    device: torch.device,
    side_by_side: int,
) -> Iterator[str]:
    """Name each run that does not fit the device."""
    on_gpu = device.type == "cuda"
    there = torch.cuda.mem_get_info(device)[0] if on_gpu else available_memory_bytes()
    place = "the GPU's memory" if on_gpu else "this machine's memory"
    fits = True
    for run in (run for e in experiments.values() for run in e.runs):
        cost = costs.get(recipe_key(run))
        if cost is None or (cost.fits and cost.bytes <= there):
            continue
        fits = False
        if not cost.fits:
            yield f"TOO LARGE: {run.place} ran out of {place}; {WHAT_TO_DO}"
        else:
            yield (
                f"TOO LARGE: {run.place} needs about {cost.bytes / GIB:.1f} GiB, {place} has "
                f"{there / GIB:.1f} free; {WHAT_TO_DO}"
            )
    largest = max((cost.bytes for cost in costs.values()), default=0)
    if fits and costs:
        together = largest * (1 if on_gpu else side_by_side)
        verdict = "fits" if together <= there else "fits, one at a time: lower --cores"
        yield f"memory: the largest training takes {largest / GIB:.2f} GiB and {verdict}"
