"""`python -m benchmarks` runs every benchmark that needs no argument, `python -m benchmarks NAME
[OPTIONS]` one.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = sorted(
    path.stem
    for path in FOLDER.glob("*.py")
    if path.stem not in {"__init__", "__main__", "machine", "plain_nerf", "plain_nex"}
)
ASKING = {"rendering", "scenes"}
"""Those that must be told what to measure."""


def main() -> None:
    """Run what the command line names."""
    name, options = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if name and name not in NAMES:
        sys.exit(f"benchmarks: no {name!r}; there are: {', '.join(NAMES)}")
    for each in [name] if name else sorted(set(NAMES) - ASKING):
        print(f"== {each}", flush=True)
        sys.argv = [f"benchmarks/{each}.py", *options]
        runpy.run_module(f"benchmarks.{each}", run_name="__main__")


if __name__ == "__main__":
    main()
