"""Copies of the project, with experiments small enough to run in seconds, for tests to run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PARTS = ["Snakefile", "config.yaml", "pyproject.toml", "workflow", "nir", "profiles"]

BUDGET = {"steps": 4, "resolution": 32, "width": 8, "features": 8}
EXPERIMENTS = {
    "fourier/image": {
        "task": "fourier_image",
        "title": "Fourier features on images",
        "subjects": ["astronaut"],
        "variants": {"none": {}, "gaussian": {"encoding": "gaussian"}},
        "budget": {"smoke": BUDGET},
        "headline": ["tested psnr_float"],
        "figures": ["images", "curves"],
    },
    "siren/image": {
        "task": "siren_image",
        "title": "An image",
        "subjects": ["camera"],
        "variants": {"siren": {}},
        "budget": {"smoke": {**BUDGET, "derivatives": False}},
        "headline": ["trained psnr_8bit"],
        "figures": ["curves"],
    },
}


@dataclass(frozen=True)
class Job:
    """One job of Snakemake's plan."""

    rule: str
    wildcards: str

    @property
    def run(self) -> str:
        """experiment/variant for jobs of a run, else the empty text."""
        found = dict(part.split("=") for part in self.wildcards.split(", ") if part)
        if "run" not in found:
            return ""
        chapter, experiment, _subject, variant, _seed = found["run"].split("/")
        return f"{chapter}/{experiment}/{variant}"


@dataclass(frozen=True)
class Project:
    """A copy of the project in a folder of its own."""

    folder: Path

    def environment(self) -> dict[str, str]:
        """`nir` is that of the copy, in Snakemake and in its jobs."""
        return os.environ | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; what it says is in `stdout`."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1200,
        )

    def plan(self, *arguments: str) -> list[Job]:
        """The jobs that Snakemake would run now; without the profile, which may be quiet."""
        finished = self.snakemake("-n", "--workflow-profile", "none", *arguments)
        assert finished.returncode == 0, finished.stdout
        jobs = r"^( *)(?:local)?rule (\w+):\n((?:\1 {4}.*\n)*)"  # those of a group are indented
        blocks = re.findall(jobs, finished.stdout, re.M)
        found = [(rule, re.search(r"wildcards: (.*)", body)) for _, rule, body in blocks]
        return [Job(rule, match.group(1) if match else "") for rule, match in found]

    def planned(self, *arguments: str) -> Counter[str]:
        """How many jobs of each rule Snakemake would run now."""
        return Counter(job.rule for job in self.plan(*arguments))

    @contextlib.contextmanager
    def edited(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace a text in a file, and put everything back afterwards."""
        path = self.folder / name
        before, status = path.read_text(encoding="utf-8"), path.stat()
        assert old in before
        path.write_text(before.replace(old, new, 1), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def overlay(self, **values: object) -> list[str]:
        """Arguments that lay a configuration over the project's own."""
        path = self.folder / "overlay.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return ["--configfile", str(path)]

    def files(self) -> list[str]:
        """All files of the results that are not logs, hidden ones included."""
        found = (p.relative_to(self.folder / "results") for p in self.folder.glob("results/**/*"))
        return sorted(
            str(p)
            for p in found
            if p.parts[0] != "logs" and (self.folder / "results" / p).is_file()
        )


def copy_of_project(folder: Path) -> Project:
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            shutil.copy2(source, folder / part)
    return Project(folder)


def write_small_configuration(project: Project) -> None:
    path = project.folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config |= {"scale": "smoke", "experiments": EXPERIMENTS}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
