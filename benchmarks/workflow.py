"""Benchmark: what the workflow costs beside training.

    python -m benchmarks workflow [--scale quick] [--json FILE]

On finished results: the time of a dry run, and from Snakemake's record of the last whole run the
share of its wall time that no training used. Whatever is finished: time and memory of the plan of
every experiment at the papers' size, each with its seeds.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import RESULTS, describe
from nir.files import write_json

ROOT = Path(__file__).resolve().parents[1]


def dry_run_seconds(scale: str) -> tuple[float, bool]:
    """Seconds of `snakemake -n`, and whether it found nothing to do."""
    command = [sys.executable, "-m", "snakemake", "-n", "--config", f"scale={scale}"]
    began = time.perf_counter()
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, "Nothing to be done" in run.stdout + run.stderr


def plan_at_paper_scale() -> dict[str, float]:
    """What `snakemake -n` costs there; memory is the greatest of the processes started so far."""
    seconds, _ = dry_run_seconds("paper")
    kibibytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"plan_seconds": seconds, "plan_bytes": kibibytes * 1024}


def training_seconds(scale: str) -> float:
    """Seconds that all trainings together spent in their steps."""
    records = (ROOT / "results" / scale).glob("*/*/*/*/seed*/training.json")
    return sum(json.loads(path.read_text())["seconds"] for path in records)


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="quick")
    parser.add_argument("--wall-seconds", type=float, help="of the whole run, as it was timed")
    parser.add_argument("--cores", type=int, default=2, help="of the whole run")
    parser.add_argument("--json", type=Path, default=RESULTS / "workflow.json")
    options = parser.parse_args()
    seconds, nothing_to_do = dry_run_seconds(options.scale)
    trained = training_seconds(options.scale)
    record = {
        "machine": describe("cpu"),
        "scale": options.scale,
        "dry_run_seconds": seconds,
        "nothing_to_do": nothing_to_do,
        "training_seconds": trained,
    }
    record |= plan_at_paper_scale()
    print(f"snakemake -n on {options.scale}: {seconds:.1f} s; nothing to do: {nothing_to_do}")
    print(f"plan at paper: {record['plan_seconds']:.1f} s, {record['plan_bytes'] / 2**20:.0f} MiB")
    if options.wall_seconds:
        share = 1 - trained / (options.wall_seconds * options.cores)
        record |= {"wall_seconds": options.wall_seconds, "share_not_training": share}
        print(
            f"of {options.wall_seconds:.0f} s on {options.cores} cores, {share:.0%} was no training"
        )
    write_json(options.json, record)


if __name__ == "__main__":
    main()
