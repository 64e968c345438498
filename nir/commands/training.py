"""nir train | predict | mesh | status: what concerns a run and its model."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nir.commands.options import (
    add_configuration,
    add_data_root,
    add_device,
    add_log,
    configuration_of,
    data_root_of,
)
from nir.errors import InputError
from nir.files import read_json


def add_to(commands: argparse._SubParsersAction) -> None:
    """Add these commands to the command line."""
    _add_train(commands)
    _add_predict(commands)
    _add_status(commands)


def _add_train(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser("train", help="train one model")
    train.add_argument("task", help="a task, such as siren_image")
    train.add_argument("subject", help="a data set of the registry, or a file of your own")
    train.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run's folder")
    train.add_argument("--recipe", default="{}", metavar="JSON", help="values of the recipe")
    train.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="single values of the recipe"
    )
    train.add_argument("--seed", type=int, default=0, help="of all that is random; default: 0")
    train.add_argument("--checkpoints", type=Path, metavar="DIR", help="default: RUN/.checkpoints")
    train.add_argument(
        "--checkpoint-seconds",
        type=float,
        metavar="SECONDS",
        help="time between checkpoints; default: NIR_CHECKPOINT_SECONDS, or 60",
    )
    train.add_argument(
        "--keep-checkpoints",
        action="store_true",
        help="when done, too: the same training again ends at once",
    )
    train.add_argument(
        "--model-of", type=Path, metavar="RUN", help="take this run's model, which is trained alike"
    )
    train.add_argument("--ahead", action="store_true", help="predict, too: nir predict --ahead")
    add_data_root(train)
    add_device(train)
    add_log(train)
    train.set_defaults(command=_train)


def _seconds_between_checkpoints(option: float | None) -> float:
    """The option, or what the environment says; read here, as other commands do not care."""
    text = os.environ.get("NIR_CHECKPOINT_SECONDS", "60")
    where, seconds = "--checkpoint-seconds", option
    if seconds is None:
        where = f"NIR_CHECKPOINT_SECONDS={text}"
        with contextlib.suppress(ValueError):
            seconds = float(text)
    if seconds is None or not seconds >= 0:
        raise InputError(f"{where}: a number of seconds is expected, such as 60")
    return seconds


def _train(options: argparse.Namespace) -> None:
    from nir.runs import adopt_model, train_run
    from nir.specification import RunSpecification
    from nir.tasks import task_entry

    seconds = _seconds_between_checkpoints(options.checkpoint_seconds)
    values = _parse_recipe(options.recipe) | dict(map(parse_setting, options.set))
    recipe = task_entry(options.task).recipe_class().from_dict(values, where="recipe")
    specification = RunSpecification(
        task=options.task, subject=options.subject, seed=options.seed, recipe=recipe
    )
    with computing(options, _label_of(options.out)) as device:
        shared = {
            "data_root": data_root_of(options),
            "device": device,
            "label": _label_of(options.out),
            "log": options.log,
            "ahead": options.ahead,
        }
        if options.model_of:
            adopt_model(specification, options.out, options.model_of, **shared)
            return
        train_run(
            specification,
            options.out,
            checkpoints_root=options.checkpoints or options.out / ".checkpoints",
            checkpoint_seconds=seconds,
            keep_checkpoints=options.keep_checkpoints,
            **shared,
        )


@contextlib.contextmanager
def computing(options: argparse.Namespace, label: str) -> Iterator[Any]:
    """Yield the device to compute on: a GPU of this process's own if there is one."""
    from nir.devices import gpu_slot
    from nir.memory import keep_freed_memory
    from nir.runs import choose_device

    keep_freed_memory()
    with gpu_slot(options.device, lambda text: print(f"[{label}] {text}", file=sys.stderr)):
        _use_threads(options.threads)
        yield choose_device(options.device)


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    """--recipe of commands that ask a trained model: what is asked of it today."""
    parser.add_argument(
        "--recipe",
        metavar="JSON",
        help="all values of the recipe, of which those that do not decide the model may be new; "
        "default: those it was trained with",
    )


def _ask(options: argparse.Namespace) -> None:
    """Write what --recipe says into the run's folder, if it is given."""
    if options.recipe is None:
        return
    values = _parse_recipe(options.recipe)
    if read_json(options.run / "recipe.json").get("recipe") == values:
        return  # as a rule, and then no task need be known
    from nir.specification import ask_of_run

    ask_of_run(options.run, values)


def _parse_recipe(text: str) -> dict:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--recipe: not valid JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError("--recipe: a JSON object is expected")
    return values


def parse_setting(setting: str) -> tuple[str, object]:
    """Read KEY=VALUE; a value that is not JSON is text."""
    key, equals, value = setting.partition("=")
    if not equals:
        raise InputError(f"--set {setting}: KEY=VALUE is expected")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _use_threads(threads: int) -> None:
    import torch

    if threads > 0:
        torch.set_num_threads(threads)


def _label_of(out: Path) -> str:
    """The last parts of a run's folder, which name it to a person."""
    parts = out.parts
    return "/".join(parts[2:] if parts[:1] == ("results",) else parts[-2:])


def _add_predict(commands: argparse._SubParsersAction) -> None:
    predict = commands.add_parser("predict", help="write a run's predictions")
    predict.add_argument(
        "--ahead", action="store_true", help="take those that nir train --ahead has made, if any"
    )
    predict.set_defaults(command=_predict)
    mesh = commands.add_parser("mesh", help="write a run's surface")
    mesh.set_defaults(command=_mesh)
    for command in (predict, mesh):
        command.add_argument("run", type=Path, help="the run's folder")
        _add_recipe(command)
        add_data_root(command)
        add_device(command)
        add_log(command)


def _predict(options: argparse.Namespace) -> None:
    from nir.ahead import take_predictions

    _ask(options)
    if options.ahead and take_predictions(options.run):
        return
    from nir.runs import predict_run

    with computing(options, _label_of(options.run)) as device:
        predict_run(options.run, data_root=data_root_of(options), device=device)


def _mesh(options: argparse.Namespace) -> None:
    from nir.runs import mesh_run

    _ask(options)
    with computing(options, _label_of(options.run)) as device:
        mesh_run(options.run, data_root=data_root_of(options), device=device)


def _add_status(commands: argparse._SubParsersAction) -> None:
    status = commands.add_parser("status", help="what is done and what is running")
    add_configuration(status)
    status.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="where the folder of the scale lies; default: results",
    )
    status.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> None:
    from nir.experiments import experiments_of
    from nir.reporting.status import status_lines

    config = configuration_of(options)
    folder = options.results / config["scale"]
    sys.stdout.write("\n".join(status_lines(experiments_of(config), folder)) + "\n")
