"""Surveys: where sources hummed and receivers listened, and what these heard of each source.

Places are points (x, y) of the plane of `nir.data.waves`. The layout on disk is that of the data
file beside SIREN's code (experiment_scripts/fwi/data_cylinder_5.mat, read by
train_inverse_helmholtz.py): a MATLAB file with `source` [sources, 2], `receivers` [receivers, 2]
and complex `rec_val` [receivers, sources]. The medium is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from nir.errors import InputError
from nir.files import written_whole

KEYS = ("source", "receivers", "rec_val")


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Places of sources and receivers, and the field of each source at each receiver."""

    sources: Float[np.ndarray, "sources 2"]
    receivers: Float[np.ndarray, "receivers 2"]
    heard: Complex[np.ndarray, "receivers sources"]


def read_survey(path: Path) -> Survey:
    """Read a survey from a MATLAB file; what is none is an `InputError`."""
    path = Path(path)
    arrays = _read_mat(path)
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise InputError(f"{path}: holds no {' and no '.join(missing)}; a survey has {KEYS}")
    sources, receivers = (_places(path, key, arrays[key]) for key in KEYS[:2])
    heard = np.asarray(arrays["rec_val"])
    if heard.shape != (len(receivers), len(sources)) or heard.dtype.kind not in "cfiu":
        raise InputError(
            f"{path}: rec_val is an array {list(heard.shape)} of {heard.dtype}, not "
            f"{len(receivers)} receivers by {len(sources)} sources"
        )
    if not np.isfinite(heard).all():
        raise InputError(f"{path}: rec_val has numbers that are not finite; remove them")
    return Survey(sources=sources, receivers=receivers, heard=heard.astype(np.complex128))


def write_survey(path: Path, survey: Survey) -> None:
    """Write a survey as a MATLAB file, whole or not at all."""
    from scipy.io import savemat

    arrays = {"source": survey.sources, "receivers": survey.receivers, "rec_val": survey.heard}
    with written_whole(Path(path)) as temporary, temporary.open("wb") as file:
        savemat(file, arrays)


def _places(path: Path, key: str, values: Any) -> Float[np.ndarray, "places 2"]:
    values = np.asarray(values)
    if (
        values.ndim != 2
        or values.shape[1] != 2
        or len(values) == 0
        or values.dtype.kind not in "fiu"
    ):
        raise InputError(f"{path}: {key} is an array {list(values.shape)}, not places [n, 2]")
    values = values.astype(np.float64)
    if not (np.abs(values) < 1).all():
        raise InputError(f"{path}: {key} has places outside of the square [-1, 1]; rescale them")
    return values


def _read_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return loadmat(path, variable_names=KEYS, appendmat=False)
    except NotImplementedError as error:  # HDF5, since MATLAB 7.3
        raise InputError(f"{path}: is of MATLAB's version 7.3; save it again with -v7") from error
    except (MatReadError, ValueError, TypeError, OSError, EOFError) as error:
        raise InputError(f"{path}: is not a MATLAB file that can be read ({error})") from error
