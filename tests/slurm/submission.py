"""Snakemake with SLURM's executor on a copy of the project, and one long training to disturb."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from projects import Project
from slurm.cluster import Cluster

Model = dict[str, torch.Tensor]

PROFILE = "profiles/slurm"
# A training of some ten seconds, long enough to be disturbed.
LONG = {
    "siren/image": {
        "task": "siren_image",
        "title": "An image",
        "subjects": ["camera"],
        "variants": {"siren": {}},
        "budget": {"smoke": {"steps": 1500, "resolution": 64, "width": 64, "derivatives": False}},
        "headline": ["trained psnr_8bit"],
        "figures": ["curves"],
    }
}
CHECKPOINTS = "results/smoke/.checkpoints/*/step-*.pt"
LONG_RUN = "results/smoke/siren/image/camera/siren/seed0"


@dataclass(frozen=True)
class Submission:
    """Snakemake with SLURM's executor on a copy of the project."""

    project: Project
    cluster: Cluster

    def start(self, *arguments: str) -> Running:
        """Start Snakemake; what it says is collected in a file."""
        command = [sys.executable, "-m", "snakemake", "--workflow-profile", PROFILE]
        command += ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "20"]
        log = self.project.folder / f"snakemake-{time.monotonic_ns()}.log"
        with log.open("wb") as handle:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=self.project.folder,
                env=self.environment(),
                stdout=handle,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, log)

    def environment(self) -> dict[str, str]:
        often = {"NIR_CHECKPOINT_SECONDS": "1"}
        return self.project.environment() | self.cluster.environment() | often

    def run(self, *arguments: str) -> Running:
        """Run Snakemake to its end."""
        running = self.start(*arguments)
        running.wait()
        return running

    def jobs(self, fmt: str, *options: str) -> list[str]:
        """What squeue says of the jobs, one line each."""
        return self.cluster.ask("squeue", "-h", "-o", fmt, *options).splitlines()

    def details(self) -> list[dict[str, str]]:
        """The jobs that are not done, with the generic resources that each asked for."""
        columns = ["JobID", "State", "NodeList", "tres-per-job", "Reason"]
        width = 40
        wanted = ",".join(f"{column}:{width}" for column in columns)
        lines = self.cluster.ask("squeue", "-h", "-O", wanted).splitlines()
        parts = [
            [line[i : i + width].strip() for i in range(0, len(line), width)] for line in lines
        ]
        return [dict(zip(columns, part, strict=False)) for part in parts]

    def trains(self) -> bool:
        """Whether the long training has saved a state from which it could go on."""
        return any(self.project.folder.glob(CHECKPOINTS))

    def train_log(self) -> str:
        """What all attempts of the long training said, from SLURM's log files."""
        folder = self.project.folder / "results/logs"
        last = folder / LONG_RUN.removeprefix("results/") / "train.log"
        paths = [*folder.glob("slurm/**/*.log"), last]
        return "".join(p.read_text(errors="replace") for p in paths if p.is_file())


@dataclass(frozen=True)
class Running:
    """A Snakemake that was started."""

    process: subprocess.Popen
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait(self, seconds: float = 240) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
            raise AssertionError(f"not done after {seconds:.0f} s:\n{self.said()}") from None

    def wait_for(self, what: str, ready: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            assert self.process.poll() is None, f"ended before {what}:\n{self.said()}"
            assert time.monotonic() < deadline, f"no {what} in {seconds:.0f} s:\n{self.said()}"
            time.sleep(0.1)

    def end(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)
        self.process.wait(120)


def write_long_configuration(project: Project, *, times: int = 1) -> None:
    """Let the project consist of the long training; `times` as long, if asked."""
    path = project.folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) | {"experiments": copy.deepcopy(LONG)}
    config["experiments"]["siren/image"]["budget"]["smoke"]["steps"] *= times
    path.write_text(yaml.safe_dump(config), encoding="utf-8")


def model(project: Project) -> Model:
    """The long training's weights."""
    return torch.load(project.folder / LONG_RUN / "model.pt", weights_only=True)


def same(first: Model, second: Model) -> bool:
    """Whether two models are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
