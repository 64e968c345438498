"""Tables of numbers on disk, as evaluation and tabulation write them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def read_numbers(path: Path) -> pd.DataFrame:
    """A metrics.csv or table.csv; units are texts, though some look like numbers ("1", "1e-3")."""
    return pd.read_csv(path, keep_default_na=False, dtype={"unit": str})
