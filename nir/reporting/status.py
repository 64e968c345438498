"""Status: which runs are done, which are running, how long they will still take."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nir.experiments import Experiment, Run
from nir.files import canonical_json
from nir.progress import FILE_NAME, format_seconds

SILENT_SECONDS = 60.0


def status_lines(experiments: Mapping[str, Experiment], folder: Path) -> Iterator[str]:
    """Lines for a person: each experiment's count, then every training that is under way."""
    width = max(map(len, experiments), default=0)
    total_done = total = 0
    for name, experiment in experiments.items():
        done = sum(_is_trained(run, folder / run.place) for run in experiment.runs)
        total_done, total = total_done + done, total + len(experiment.runs)
        filled = round(20 * done / max(len(experiment.runs), 1))
        bar = "█" * filled + "·" * (20 - filled)
        yield f"{name:{width}}  {bar}  {done:3d}/{len(experiment.runs)} trained"
    yield f"{'all':{width}}  {'':20}  {total_done:3d}/{total} trained"
    for state in _under_way(folder):
        yield _line(state)


def _is_trained(run: Run, folder: Path) -> bool:
    """Whether the model that lies there is the one that the configuration asks for."""
    try:
        recipe = json.loads((folder / "recipe.json").read_text())["recipe"]
    except (OSError, json.JSONDecodeError, KeyError):
        return False
    asked = json.loads(canonical_json(run.recipe.of_training()))
    return asked.items() <= recipe.items() and (folder / "model.pt").is_file()


def _under_way(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(f".checkpoints/*/{FILE_NAME}")):
        try:
            yield json.loads(path.read_text())
        except (OSError, json.JSONDecodeError):
            continue


def _line(state: dict[str, Any]) -> str:
    silent = time.time() - state["time"]
    left = f"{format_seconds(state['seconds_left'])} left"
    when = f"stopped; silent for {format_seconds(silent)}" if silent > SILENT_SECONDS else left
    return (
        f"  {state['label']}  step {state['step']}/{state['steps']}  loss {state['loss']:.3e}  "
        f"{state['steps_per_second']:.1f} steps/s  {when}"
    )
