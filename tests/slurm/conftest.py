"""A real SLURM for these tests; they skip, with a reason, where none can be started."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from projects import Project, copy_of_project, write_small_configuration
from slurm.cluster import Cluster, why_impossible
from slurm.submission import LONG_RUN, Model, Submission, model, write_long_configuration


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes with one GPU each."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("one cluster a machine: run these alone, with pytest tests/slurm")
    if reason := why_impossible():
        pytest.skip(f"no SLURM here: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="nir-slurm-"))
    started = Cluster(folder=folder)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # daemons go down, too
    try:
        started.up()
        yield started
    finally:
        signal.signal(signal.SIGTERM, before)
        started.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def submission(project: Project, cluster: Cluster) -> Iterator[Submission]:
    """The small experiments."""
    yield from _submission(project, cluster)


@pytest.fixture
def long_submission(project: Project, cluster: Cluster) -> Iterator[Submission]:
    """One training that takes a while."""
    write_long_configuration(project)
    yield from _submission(project, cluster)


def _submission(project: Project, cluster: Cluster) -> Iterator[Submission]:
    yield Submission(project, cluster)
    cluster.ask("scancel", "--state=PENDING,RUNNING,SUSPENDED", check=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    copied = copy_of_project(tmp_path)
    write_small_configuration(copied)
    return copied


@pytest.fixture(scope="session")
def aside() -> Iterator[Executor]:
    """Runs what is compared with while SLURM runs what is disturbed."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture(scope="session")
def undisturbed(aside: Executor, tmp_path_factory: pytest.TempPathFactory) -> Future[Model]:
    """The model that the long training ends with when nothing happens to it, without SLURM."""
    return aside.submit(_undisturbed, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def very_long_submission(project: Project, cluster: Cluster) -> Iterator[Submission]:
    """One training that takes half a minute wherever it runs."""
    write_long_configuration(project, times=4)
    yield from _submission(project, cluster)


@pytest.fixture
def very_long_undisturbed(aside: Executor, tmp_path: Path) -> Future[Model]:
    """The model that it ends with when nothing happens to it."""
    return aside.submit(_undisturbed, tmp_path / "undisturbed", times=4)


def _undisturbed(folder: Path, *, times: int = 1) -> Model:
    folder.mkdir(exist_ok=True)
    copied = copy_of_project(folder)
    write_small_configuration(copied)
    write_long_configuration(copied, times=times)
    run = copied.snakemake(f"{LONG_RUN}/model.pt")
    assert run.returncode == 0, run.stdout
    return model(copied)
