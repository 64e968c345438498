"""The workflow is clean by Snakemake's lint and formatted by snakefmt, at every scale."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_the_lint_finds_nothing(whole_project):
    run = whole_project.snakemake("--lint")
    assert run.returncode == 0, run.stdout


def test_snakefmt_would_change_nothing(whole_project):
    run = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"],
        cwd=whole_project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("scale", ["smoke", "quick", "paper"])
def test_every_scale_can_be_planned(whole_project, scale):
    planned = whole_project.planned("--config", f"scale={scale}")
    assert planned["train"] == planned["predict"] > 0
    assert planned["page"] == 1
