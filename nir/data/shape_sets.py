"""Sets of generated shapes: which families, how many members, how much is drawn of each.

They are names of the registry; `shape_preparation` writes them. Importing this costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ShapeSet:
    """Members of each family by split; `preparation` is a name in `shape_preparation`."""

    families: tuple[str, ...]
    train: int
    val: int
    test: int
    preparation: str = "small"


_ALL = ("chairs", "tables", "lamps", "airplanes", "cars", "sofas")

SETS = {
    "families_tiny": ShapeSet(
        families=("chairs", "tables"), train=3, val=1, test=1, preparation="tiny"
    ),
    "chairs_small": ShapeSet(families=("chairs",), train=32, val=4, test=8),
    # Thick enough to be learned within seconds, on which `quick` compares reconstructions.
    "solids_small": ShapeSet(families=("sofas", "cars"), train=20, val=1, test=3),
    "sofas_small": ShapeSet(families=("sofas",), train=16, val=2, test=6),
    "furniture_small": ShapeSet(families=("chairs", "tables", "lamps"), train=20, val=3, test=6),
    "chairs": ShapeSet(families=("chairs",), train=400, val=40, test=80),
    "families": ShapeSet(families=_ALL, train=200, val=20, test=40),
}
