"""Checkpoints of nerf-pytorch (`logs/NAME/200000.tar`) as runs that can be predicted and meshed.

The file is read as weights only, so that nothing in it can run. Width, depth, encodings and
whether directions and a fine network are used are told by the shapes of its tensors.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nir.errors import InputError
from nir.files import write_bytes, write_json, write_text
from nir.networks.mlp import parameter_count
from nir.networks.radiance import RadianceNetwork
from nir.recipes.nerf import LlffNerfRecipe, NerfRecipe
from nir.tasks.nerf import FieldPair

_OURS = {
    "views_linears.0": "view",
    "feature_linear": "feature",
    "alpha_linear": "density",
    "rgb_linear": "colour",
    "output_linear": "output",
}


def load_network(network: RadianceNetwork, theirs: Mapping[str, Tensor], *, source: str) -> None:
    """Fill a network with nerf-pytorch's tensors; a misfit is an `InputError` naming `source`."""
    ours = {_our_name(name): value for name, value in theirs.items()}
    if not network.has_view_branch:
        # nerf-pytorch makes the first view layer even when no direction is used.
        ours = {
            name: _seen(value) if name.startswith("output.") else value
            for name, value in ours.items()
            if not name.startswith("view.")
        }
    try:
        network.load_state_dict(ours)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{source}: not a network of nerf-pytorch's shape ({reason})") from error


def _seen(output: Tensor) -> Tensor:
    """The rows of colour and density; with a fine network there is a fifth, which nothing reads."""
    return output[:4] if len(output) == 5 else output


def _our_name(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    if layer.startswith("pts_linears."):
        return f"trunk.{layer.rpartition('.')[2]}.{kind}"
    return f"{_OURS.get(layer, layer)}.{kind}"


def import_checkpoint(
    file: Path, out: Path, *, subject: str, task: str = "nerf", changes: Mapping[str, Any]
) -> None:
    """Write the run folder `out` from a checkpoint; `subject` is the scene it was trained on.

    changes: values of the recipe that the file cannot tell, such as `shrink`.
    """
    saved = _read(file)
    recipe = _recipe_of(saved, file, task, changes)
    pair = FieldPair(recipe, torch.Generator().manual_seed(0))
    load_network(pair.coarse.network, saved["network_fn_state_dict"], source=str(file))
    if pair.fine is not None:
        load_network(pair.fine.network, saved["network_fine_state_dict"], source=str(file))
    write_json(
        out / "recipe.json",
        {"task": task, "subject": subject, "seed": 0, "recipe": recipe.to_dict()},
    )
    write_text(out / "log.csv", "step,loss\n")
    write_json(
        out / "training.json",
        {
            "imported": file.name,
            "steps": recipe.steps,
            "parameters": parameter_count(pair),
            "seconds": 0.0,
        },
    )
    # Through memory: torch.save to a full disk raises no OSError.
    weights = io.BytesIO()
    torch.save(pair.state_dict(), weights)
    write_bytes(out / "model.pt", weights.getvalue())


def _read(file: Path) -> dict[str, Any]:
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file; nerf-pytorch writes logs/NAME/STEP.tar") from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{file}: not a checkpoint of weights alone ({reason})") from error
    if not isinstance(saved, dict) or "network_fn_state_dict" not in saved:
        raise InputError(f"{file}: holds no network_fn_state_dict; is it nerf-pytorch's?")
    return saved


def _recipe_of(
    saved: Mapping[str, Any], file: Path, task: str, changes: Mapping[str, Any]
) -> NerfRecipe:
    """The recipe that the tensors' shapes tell, on top of the paper's."""
    network = saved["network_fn_state_dict"]
    try:
        width, features = network["pts_linears.0.weight"].shape
        depth = sum(n.startswith("pts_linears.") and n.endswith(".weight") for n in network)
        has_directions = "rgb_linear.weight" in network
        directions = network["views_linears.0.weight"].shape[1] - width if has_directions else 27
    except (KeyError, AttributeError) as error:
        raise InputError(f"{file}: lacks nerf-pytorch's layers ({error})") from error
    has_fine = saved.get("network_fine_state_dict") is not None
    told = {
        "steps": int(saved.get("global_step", 0)),
        "width": width,
        "depth": depth,
        "position_octaves": (features - 3) // 6,
        "direction_octaves": (directions - 3) // 6,
        "use_view_directions": has_directions,
        "initialisation": "pytorch",
    }
    recipe_class = LlffNerfRecipe if task == "nerf_llff" else NerfRecipe
    recipe = recipe_class.from_dict({**told, **changes}, where=str(file))
    return recipe if has_fine else dataclasses.replace(recipe, sampling="few_uniform")
