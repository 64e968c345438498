"""A run on disk: build its task, train it, predict from it. The glue between contracts.

Nothing here decides what a training gives, only where it is written: a change trains nothing anew.

A run's folder holds recipe.json (task, subject, seed and all values), model.pt, log.csv and
training.json (device, versions, time, and what the model is made of), and after prediction
predictions/.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pickle
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nir.ahead import predictions_ahead
from nir.building import start_of_task
from nir.checkpoints import Checkpoints
from nir.data.fetch import resolve_subject
from nir.errors import InputError
from nir.files import (
    csv_text,
    folder_written_whole,
    read_json,
    remove_leftovers,
    require_writable,
    write_bytes,
    write_json,
    written_whole,
)
from nir.networks.mlp import parameter_count
from nir.precision import precision_of_products
from nir.progress import Progress
from nir.specification import RunSpecification, stamp_of
from nir.tasks import task_entry
from nir.tasks.contract import Task
from nir.training import State, Trainer


def choose_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is the GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    known = re.fullmatch(r"cpu|cuda(?::(0|[1-9][0-9]*))?", name)
    if known is None:  # torch knows more kinds, for which nothing here is made
        raise InputError(f"--device {name}: auto, cpu, cuda or cuda:0, cuda:1 ... is expected")
    if name != "cpu" and not torch.cuda.is_available():
        raise InputError(f"--device {name}: this torch sees no GPU; use --device cpu")
    if known[1] is not None and int(known[1]) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise InputError(f"--device {name}: the last GPU here is cuda:{last}")
    return torch.device(name)


def build_task(specification: RunSpecification, data_root: Path, device: torch.device) -> Task:
    """Build the task of a run exactly as its training begins."""
    subject = resolve_subject(specification.subject, data_root=data_root)
    recipe = specification.recipe
    others = {
        key: str(resolve_subject(name, data_root)) for key, name in recipe.other_subjects().items()
    }
    # Only the task sees paths: recipe.json keeps the names, which hold on every machine.
    recipe = dataclasses.replace(recipe, **others)
    module = task_entry(specification.task).module
    return start_of_task(module, recipe, subject, seed=specification.seed, device=device)


def train_run(
    specification: RunSpecification,
    out: Path,
    *,
    checkpoints_root: Path,
    data_root: Path,
    device: torch.device,
    label: str,
    log: Path | None = None,
    checkpoint_seconds: float = 60.0,
    keep_checkpoints: bool = False,
    ahead: bool = False,
) -> None:
    """Train a run, going on from its last checkpoint, and write its folder.

    keep_checkpoints: do not remove them when done, so that the same training again ends at once.
    ahead: predict, too, for `nir.ahead.take_predictions` to find.
    """
    checkpoints = Checkpoints(checkpoints_root / specification.checkpoint_name())
    for path in (out / "model.pt", checkpoints.folder / "step"):
        require_writable(path)
    steps = specification.recipe.steps
    progress = Progress(label=label, steps=steps, folder=checkpoints.folder, log=log)
    trainer = Trainer(
        recipe=specification.recipe,
        seed=specification.seed,
        device=device,
        checkpoints=checkpoints,
        progress=progress,
        checkpoint_seconds=checkpoint_seconds,
    )
    before, made_of = stamp_of(out / "model.pt"), specification.made_of()
    with checkpoints.owned(progress.say) as waited:
        if waited and stamp_of(out / "model.pt") not in (None, before):
            return  # the one that was waited for has finished it
        task = build_task(specification, data_root, device)
        state = trainer.train(task)
        _write_files(
            specification,
            out,
            log_csv=csv_text(state.rows).encode(),
            record=_record(specification, task, state, device) | made_of,
            model=_weights(task),
        )
        progress.forget()  # predicting reports no steps, and would be taken for one that stopped
        if ahead:
            del task, state  # their memory is needed again
            _predict_ahead(out, data_root, device, progress.say)
        if keep_checkpoints:
            checkpoints.mark_finished()
            return
        checkpoints.remove()
    with contextlib.suppress(OSError):  # another training may be using it
        checkpoints_root.rmdir()


def adopt_model(
    specification: RunSpecification,
    out: Path,
    origin: Path,
    *,
    data_root: Path,
    device: torch.device,
    label: str,
    log: Path | None = None,
    ahead: bool = False,
) -> None:
    """Write a run's folder around the model of another that was trained alike.

    origin: that run's folder. One that was trained otherwise is an `InputError`.
    """
    record = _record_of_alike(specification, origin)
    try:
        log_csv, model = ((origin / name).read_bytes() for name in ("log.csv", "model.pt"))
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; train that run first") from error
    say = Progress(label=label, steps=0, folder=out, log=log).say
    say(f"takes the model of {origin}, which is trained alike")
    record = {"model_of": str(origin), **record}
    _write_files(specification, out, log_csv=log_csv, record=record, model=model)
    if ahead:
        _predict_ahead(out, data_root, device, say)


def _record_of_alike(specification: RunSpecification, origin: Path) -> dict[str, Any]:
    """Another run's training.json; an `InputError` unless its model is that of `specification`."""
    if not specification.is_trained_as(RunSpecification.read(origin)):
        raise InputError(f"{origin}: another recipe, subject or seed; train this run by itself")
    record, made_of = read_json(origin / "training.json"), specification.made_of()
    if record.get("code") != made_of["code"]:  # one that does not tell its code is older
        raise InputError(f"{origin}: not known to be trained by today's code; train it again")
    if record.get("subject_stamp") != made_of["subject_stamp"]:
        raise InputError(
            f"{origin}: trained before {specification.subject} changed; train it again"
        )
    return record


def _predict_ahead(
    folder: Path, data_root: Path, device: torch.device, say: Callable[[str], None]
) -> None:
    """Predict as `predict_run` does; where that fails, its own job is the one to say why."""
    try:
        with predictions_ahead(folder) as temporary:
            load_run(folder, data_root=data_root, device=device).predict(temporary)
    except Exception as error:
        say(f"could not predict ahead: {type(error).__name__}")


def _write_files(
    specification: RunSpecification,
    out: Path,
    *,
    log_csv: bytes,
    record: dict[str, Any],
    model: bytes,
) -> None:
    write_json(out / "recipe.json", specification.to_dict())
    write_bytes(out / "log.csv", log_csv)
    write_json(out / "training.json", record)
    write_bytes(out / "model.pt", model)
    for name in ("recipe.json", "log.csv", "training.json", "model.pt"):
        remove_leftovers(out / name)


def _weights(task: Task) -> bytes:
    """In memory: torch.save to a full disk is a bug's traceback, writing bytes is not."""
    weights = io.BytesIO()
    torch.save(task.field.state_dict(), weights)
    return weights.getvalue()


def _record(
    specification: RunSpecification, task: Task, state: State, device: torch.device
) -> dict[str, Any]:
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else platform.machine() + " CPU",
        "threads": torch.get_num_threads(),
        "products": precision_of_products(specification.recipe.precision, device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "parameters": parameter_count(task.field),
        "steps": state.step,
        "seconds": round(state.seconds, 3),
        "peak_gpu_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else 0,
    }


def load_run(folder: Path, *, data_root: Path, device: torch.device) -> Task:
    """Build a run's task with its trained weights."""
    task = build_task(RunSpecification.read(folder), data_root, device)
    path = folder / "model.pt"
    try:
        weights = torch.load(path, map_location=device, weights_only=True)
        task.field.load_state_dict(weights)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; train the run first") from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        reason = next(iter(str(error).splitlines()), "it is cut off")
        raise InputError(f"{path}: cannot be loaded ({reason}); train the run again") from error
    return task


def predict_run(folder: Path, *, data_root: Path, device: torch.device) -> None:
    """Write the run's predictions, whole or not at all."""
    task = load_run(folder, data_root=data_root, device=device)
    with folder_written_whole(folder / "predictions") as temporary:
        task.predict(temporary)
    remove_leftovers(folder / "predictions")


def mesh_run(folder: Path, *, data_root: Path, device: torch.device) -> None:
    """Write the run's surface as mesh.ply, whole or not at all."""
    task = load_run(folder, data_root=data_root, device=device)
    with written_whole(folder / "mesh.ply") as temporary:
        task.mesh(temporary)
    remove_leftovers(folder / "mesh.ply")
