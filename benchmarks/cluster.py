"""Benchmark: what SLURM costs a sweep of short jobs, beside the same sweep on one machine.

    python -m benchmarks cluster --slots 2 [--jobs 1000] [--json FILE]

A thousand jobs that sleep a second each, by `snakemake --cores SLOTS`, and through the project's
own profile for SLURM, with its grouping, on whatever cluster `sbatch` reaches here. SLOTS is how
many jobs that cluster runs at a time: in each job of SLURM Snakemake uses as many CPUs as it sees,
so on virtual nodes that pretend CPUs it is nodes times the machine's own cores.
`tests/slurm/cluster.py up FOLDER --nodes 1 --cpus 16` brings such a cluster up on one machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import RESULTS, describe
from nir.files import write_json

ROOT = Path(__file__).resolve().parents[1]
PROFILE = ROOT / "profiles/slurm"
SNAKEFILE = f"""\
JOBS = int(config["jobs"])


include: "{ROOT}/workflow/rules/cluster.smk"


resource_scopes:
    gpu="local",


rule all:
    input:
        expand("done/{{number}}", number=range(JOBS)),
    localrule: True


rule nap:
    output:
        "done/{{number}}",
    group:
        lambda wildcards: together("small")
    resources:
        mem_mb=50,
        runtime=1,
    shell:
        "sleep 1; touch {{output}}"
"""


def seconds_of(jobs: int, *arguments: str) -> float:
    """Wall seconds of one Snakemake over all jobs, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="nir-cluster-"))
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", *arguments]
    began = time.perf_counter()
    run = subprocess.run(
        [*command, "--config", f"jobs={jobs}"],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    done = len(list(folder.glob("done/*")))
    shutil.rmtree(folder, ignore_errors=True)
    if run.returncode or done != jobs:
        sys.exit(f"{done} of {jobs} jobs were done:\n{run.stdout[-3000:]}")
    return seconds


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=2, help="jobs that run at a time")
    parser.add_argument("--json", type=Path, default=RESULTS / "cluster.json")
    options = parser.parse_args()
    if shutil.which("sbatch") is None:
        print("cluster: no sbatch here; nothing measured")
        return
    slots = str(options.slots)
    alone = ["--cores", slots, "--scheduler", "greedy", "--workflow-profile", "none"]
    local = seconds_of(options.jobs, *alone)
    print(f"--cores {slots}: {local:.1f} s", flush=True)
    cluster = seconds_of(options.jobs, "--workflow-profile", str(PROFILE))
    print(f"SLURM: {cluster:.1f} s, {cluster / local:.2f} times as long")
    record = {
        "machine": describe("cpu"),
        "jobs": options.jobs,
        "seconds_of_a_job": 1,
        "slots": options.slots,
        "seconds_with_cores": local,
        "seconds_with_slurm": cluster,
        "ratio": cluster / local,
    }
    write_json(options.json, record)


if __name__ == "__main__":
    main()
