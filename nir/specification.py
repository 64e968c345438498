"""What decides a run's result, as its recipe.json tells; no torch is needed to read it.

Some values of a recipe are asked of the model afterwards (`nir.recipes.base.asked_afterwards`):
they may change without training anew, and whoever predicts or meshes brings those of today.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nir.errors import InputError
from nir.experiments import is_path, training_code
from nir.files import canonical_json, read_json, write_json
from nir.recipes.base import Recipe
from nir.tasks import task_entry


@dataclass(frozen=True, kw_only=True)
class RunSpecification:
    """Everything that decides a run's result."""

    task: str
    subject: str
    seed: int
    recipe: Recipe

    def to_dict(self) -> dict[str, Any]:
        """Ready for recipe.json."""
        return {
            "task": self.task,
            "subject": self.subject,
            "seed": self.seed,
            "recipe": self.recipe.to_dict(),
        }

    @classmethod
    def read(cls, folder: Path) -> RunSpecification:
        """Read a run's recipe.json."""
        path = folder / "recipe.json"
        values = read_json(path)
        _check_specification(values, path)
        recipe_class = task_entry(values["task"]).recipe_class()
        recipe = recipe_class.from_dict(values["recipe"], where=str(path))
        return cls(
            task=values["task"], subject=values["subject"], seed=values["seed"], recipe=recipe
        )

    def is_trained_as(self, other: RunSpecification) -> bool:
        """Whether both have the same model, whatever is asked of it afterwards."""
        mine, others = (
            (run.task, run.subject, run.seed, run.recipe.of_training()) for run in (self, other)
        )
        return mine == others

    def made_of(self) -> dict[str, Any]:
        """What decides the model beside these values: the code, and the state of a user's own file.

        Of such a file, size and time of change count.
        """
        stamp = stamp_of(Path(self.subject)) if is_path(self.subject) else None
        return {"code": training_code(self.task), "subject_stamp": stamp}

    def checkpoint_name(self) -> str:
        """A hash of recipe, subject, seed and code: another of any is another training."""
        identity = canonical_json([self.to_dict(), *self.made_of().values()])
        return hashlib.sha256(identity.encode()).hexdigest()[:20]


def _check_specification(values: Any, path: Path) -> None:
    """Raise an `InputError` unless recipe.json has what a run is made of, each of its kind."""
    kinds = {"task": str, "subject": str, "seed": int, "recipe": dict}
    given = values if isinstance(values, dict) else {}
    wrong = [key for key, kind in kinds.items() if not isinstance(given.get(key), kind)]
    if wrong:
        raise InputError(
            f"{path}: {', '.join(wrong)} missing or not of the kind expected; train the run again"
        )


def ask_of_run(folder: Path, recipe: dict[str, Any]) -> None:
    """Write into a run's recipe.json what is asked of its model from now on.

    recipe: all values. Where they train otherwise than the model was, an `InputError`. The file
    keeps its time: what was made of the training is not older than it was.
    """
    path = folder / "recipe.json"
    before = RunSpecification.read(folder)
    asked = dataclasses.replace(before, recipe=type(before.recipe).from_dict(recipe))
    if asked == before:
        return
    if not asked.is_trained_as(before):
        raise InputError(f"{path}: the model was trained with other values; train the run again")
    status = path.stat()
    write_json(path, asked.to_dict())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def stamp_of(path: Path) -> list[int] | None:
    """What tells one version of a file from another, or None without the file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return [status.st_mtime_ns, status.st_size]
