"""The workflow on a real SLURM: what is asked for is honoured, what is interrupted goes on."""

from __future__ import annotations

import re
import signal
import time

import pytest
from slurm.submission import CHECKPOINTS, LONG_RUN, Submission, model, same

pytestmark = pytest.mark.slow

ONE_BY_ONE = ["--group-components", "small=1"]
LONG_TARGETS = ["--", f"{LONG_RUN}/model.pt"]


def test_the_workflow_at_smoke_with_one_gpu_at_a_time(submission: Submission):
    """Three trainings, each of which asks for a GPU, on two nodes with one each."""
    running = submission.start(*ONE_BY_ONE, "--set-resources", "train:gpu=1", "predict:gpu=1")
    crowded, waited, seen = [], False, set()
    while running.process.poll() is None:
        jobs = [job for job in submission.details() if "gpu:1" in job["tres-per-job"]]
        nodes = [job["NodeList"] for job in jobs if job["State"] in ("RUNNING", "COMPLETING")]
        seen |= {job["JobID"] for job in jobs}
        crowded += [nodes] if len(set(nodes)) < len(nodes) else []
        waited |= any(job["Reason"] == "Resources" for job in jobs)
        time.sleep(0.2)
    assert running.wait() == 0, running.said()
    assert len(seen) == 3, seen
    assert waited, "no training had to wait for a GPU"
    assert not crowded
    files = set(submission.project.files())
    assert {"smoke/index.html", "smoke/summary.csv", "smoke/siren/image/figure-curves.png"} <= files
    assert not [name for name in files if ".checkpoints" in name], "checkpoints are left"
    assert submission.project.planned() == {}


def test_short_runs_travel_together_and_one_that_fails_for_good_stops_no_other(
    submission: Submission,
):
    """Given the command again, what travelled with it goes on without it."""
    exploding = "encoding: gaussian\n        learning_rate: 1.0e+38"
    with submission.project.edited("config.yaml", "encoding: gaussian", exploding):
        running = submission.start("--retries", "0")
        jobs: set[str] = set()
        steps: set[str] = set()
        while running.process.poll() is None:
            jobs |= {job["JobID"] for job in submission.details()}
            steps |= set(submission.jobs("%i", "--steps"))
            time.sleep(0.3)
        assert running.wait() != 0
        assert "loss term 'value'" in running.said(), "the log of what failed is not shown"
        assert len(jobs) == 1, "three runs, one job"
        started = {step for step in steps if not step.endswith((".batch", ".extern"))}
        assert started == {f"{job}.0" for job in jobs}, "a step, and a Snakemake, for each run"
        again = submission.run("--retries", "0")
        assert again.process.returncode != 0
    files = submission.project.files()
    assert "smoke/fourier/image/astronaut/none/seed0/predictions/predictions.json" in files
    assert "smoke/siren/image/table.csv" in files
    assert "smoke/fourier/image/astronaut/gaussian/seed0/model.pt" not in files
    assert "smoke/index.html" not in files


def test_a_job_over_its_time_limit_saves_and_goes_on_in_the_next(
    very_long_submission: Submission, very_long_undisturbed
):
    """SLURM looks at limits twice a minute: the warning comes between ten and forty seconds.

    It may come before the training has begun; attempts are so short until one has saved a state.
    """
    minutes = f"train:runtime=5 if __import__('glob').glob('{CHECKPOINTS}') else 1"
    limit = ["--set-resources", minutes, "train:slurm_extra='--signal=TERM@50'"]
    running = very_long_submission.start("--retries", "9", *ONE_BY_ONE, *limit, *LONG_TARGETS)
    assert running.wait(400) == 0, running.said()
    said = running.said() + very_long_submission.train_log()
    assert re.search(r"stopped by SIGTERM after step [1-9]", said), said
    assert re.search(r"goes on from step [1-9]", said), said
    assert same(model(very_long_submission.project), very_long_undisturbed.result())


def test_requeued_and_then_its_node_lost_a_job_goes_on_where_it_was(
    long_submission: Submission, undisturbed
):
    running = long_submission.start(*ONE_BY_ONE, *LONG_TARGETS)
    running.wait_for("checkpoint", long_submission.trains)
    (job,) = long_submission.jobs("%i")
    long_submission.cluster.ask("scontrol", "requeue", job)
    running.wait_for("second life", lambda: went_on(long_submission))
    (node,) = long_submission.jobs("%N", "-t", "RUNNING")
    long_submission.cluster.kill_node(node)
    try:
        running.wait_for("other node", lambda: other_node(long_submission, node))
        assert running.wait() == 0, running.said()
    finally:
        long_submission.cluster.start_node(node)
    assert same(model(long_submission.project), undisturbed.result())
    assert went_on(long_submission)


def other_node(submission: Submission, node: str) -> bool:
    return any(name not in ("", node) for name in submission.jobs("%N", "-t", "RUNNING"))


def went_on(submission: Submission) -> bool:
    """Whether the present, or last, attempt began at a checkpoint."""
    log = submission.project.folder / LONG_RUN.replace("results", "results/logs", 1) / "train.log"
    return log.exists() and re.search(r"goes on from step [1-9]", log.read_text()) is not None


def test_cancelled_or_left_alone_by_a_snakemake_that_was_killed_it_goes_on(
    long_submission: Submission, undisturbed
):
    running = long_submission.start(*ONE_BY_ONE, *LONG_TARGETS)
    running.wait_for("checkpoint", long_submission.trains)
    running.end(signal.SIGINT)
    assert running.process.returncode != 0
    deadline = time.monotonic() + 30
    while long_submission.jobs("%i") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert long_submission.jobs("%i %T") == [], "jobs outlive a Snakemake that was told to stop"
    second = long_submission.start(*ONE_BY_ONE, *LONG_TARGETS)
    second.wait_for("second life", lambda: went_on(long_submission))
    second.end(signal.SIGKILL)
    assert long_submission.jobs("%T") == ["RUNNING"]
    third = long_submission.run(*ONE_BY_ONE, *LONG_TARGETS)  # its copy waits for the first
    assert third.process.returncode == 0, third.said()
    assert same(model(long_submission.project), undisturbed.result())
