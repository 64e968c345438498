"""Metrics of curves over training: an observed log beside a predicted one.

Both are tables with a column `step` and columns of errors; the reference says which are compared.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nir.errors import InputError


def _both(observed: pd.DataFrame, predicted: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Values [steps, columns] of both at the predicted steps."""
    columns = [c for c in predicted.columns if c != "step"]
    missing = [c for c in columns if c not in observed.columns]
    if missing:
        raise InputError(f"the log has no column {missing[0]!r}; train the run again")
    found = observed.set_index("step").reindex(predicted["step"])
    if found[columns].isna().any().any():
        raise InputError("the log lacks steps that were predicted; train the run again")
    return found[columns].to_numpy(float), predicted[columns].to_numpy(float)


def deviation_of_start(observed: pd.DataFrame, predicted: pd.DataFrame) -> float:
    """Largest |observed - predicted| in units of the observed curve's first value.

    >>> log = pd.DataFrame({"step": [0, 1], "mse": [2.0, 1.0]})
    >>> round(deviation_of_start(log, log.assign(mse=[2.0, 0.8])), 6)
    0.1
    """
    seen, expected = _both(observed, predicted)
    return float(np.max(np.abs(seen - expected) / seen[0]))


def mean_log_ratio(observed: pd.DataFrame, predicted: pd.DataFrame) -> float:
    """Mean |ln(observed / predicted)| over the curve: 0.1 is about ten percent, at any height."""
    seen, expected = _both(observed, predicted)
    return float(np.mean(np.abs(np.log(seen / expected))))
