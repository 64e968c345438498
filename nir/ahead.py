"""Predictions that a training makes ahead, so that the job of prediction need not start torch.

A workflow asks for a model first and for its predictions next, each in a process of its own; for
short trainings the start of the second takes as long as its work. The process that trained makes
them from the files that it has written, as the second would, and leaves them in the run's folder
under a name of their own; the second takes them if model, recipe and library are still the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nir.errors import InputError
from nir.files import WHAT_TO_DO, folder_written_whole, read_json, remove_leftovers, write_json

FOLDER, MARKER = ".predicted-ahead", "made-of.json"


@contextlib.contextmanager
def predictions_ahead(run: Path) -> Iterator[Path]:
    """Yield a folder to predict into; it appears whole, or not at all where the block raises."""
    with folder_written_whole(run / FOLDER) as temporary:
        yield temporary
        write_json(temporary / MARKER, made_of(run))
    remove_leftovers(run / FOLDER)


def take_predictions(run: Path) -> bool:
    """Make what was predicted ahead the run's predictions; whether there was any that holds.

    Without its marker nothing is taken, so an interruption between leads to another prediction. A
    folder that cannot be written is an `InputError`.
    """
    ahead, predictions = run / FOLDER, run / "predictions"
    if not ahead.is_dir():
        return False
    try:
        if not _holds(run, ahead):
            shutil.rmtree(ahead)
            return False
        shutil.rmtree(predictions, ignore_errors=True)
        (ahead / MARKER).unlink()
        ahead.rename(predictions)
        os.utime(predictions / "predictions.json")  # newer than its inputs, whatever the clock did
    except OSError as error:
        raise InputError(f"{run}: cannot be written ({error.strerror}); {WHAT_TO_DO}") from error
    return True


def _holds(run: Path, ahead: Path) -> bool:
    try:
        return read_json(ahead / MARKER) == made_of(run)
    except (InputError, FileNotFoundError):
        return False


def made_of(run: Path) -> dict[str, str]:
    """Hashes of all that decides predictions: the model, its recipe, and the library's sources."""
    library = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(library.rglob("*.py")))
    contents = {
        "model": (run / "model.pt").read_bytes(),
        "recipe": (run / "recipe.json").read_bytes(),
        "library": sources,
    }
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
