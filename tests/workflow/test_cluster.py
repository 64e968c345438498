"""What rules ask of a cluster, and that short runs travel together, as the plan shows it."""

from __future__ import annotations

import importlib.util
import re

import pytest
import yaml

pytestmark = pytest.mark.slow


def resources_of(project, rule: str, *arguments: str) -> list[dict[str, str]]:
    """The resources of each job of a rule in Snakemake's plan."""
    planned = project.snakemake("-n", "--workflow-profile", "none", *arguments)
    assert planned.returncode == 0, planned.stdout
    blocks = re.findall(rf"^( *)rule {rule}:\n((?:\1 {{4}}.*\n)*)", planned.stdout, re.M)
    found = [re.search(r"resources: (.*)", block) for _, block in blocks]
    return [dict(part.split("=", 1) for part in match[1].split(", ")) for match in found if match]


def test_only_trainings_at_the_papers_size_ask_for_a_gpu(project):
    text = (project.folder / "config.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    config["experiments"]["siren/image"]["budget"] = {}
    (project.folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    small = resources_of(project, "train")
    assert [job.get("gpu", "0") for job in small] == ["0"] * 3
    large = resources_of(project, "train", "--config", "scale=paper")
    assert {job["gpu"] for job in large} == {"1"}
    assert all(int(job["runtime"]) > int(small[0]["runtime"]) for job in large)
    assert all(int(job["mem_mb"]) > int(small[0]["mem_mb"]) for job in large)
    drawn = resources_of(project, "plot", "--config", "scale=paper")
    assert {job.get("gpu", "0") for job in drawn} == {"0"}


def test_weights_that_arrive_run_the_evaluation_again_and_nothing_before_it(finished):
    weights = finished.folder / "data/weights"
    weights.mkdir(parents=True)
    try:
        (weights / "lpips_v0.1_vgg.pth").write_bytes(b"weights")
        planned = finished.planned()
        assert planned["evaluate"] == 2
        assert not {"train", "predict", "fetch"} & set(planned)
    finally:
        (weights / "lpips_v0.1_vgg.pth").unlink()
        weights.rmdir()
    assert finished.planned() == {}


@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="the extra 'slurm' is not installed",
)
def test_snakemake_understands_the_profile_for_slurm(project):
    planned = project.snakemake("-n", "--workflow-profile", "profiles/slurm")
    assert planned.returncode == 0, planned.stdout
    assert "profiles/slurm" in planned.stdout
