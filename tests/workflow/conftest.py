"""Snakemake on a copy of the project, with experiments small enough to run in seconds."""

from __future__ import annotations

import pytest
from projects import Project, copy_of_project, write_small_configuration


@pytest.fixture(scope="session")
def whole_project(tmp_path_factory) -> Project:
    """A copy with all experiments, not run."""
    return copy_of_project(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def project(tmp_path) -> Project:
    """A fresh copy with small experiments, not run."""
    copied = copy_of_project(tmp_path)
    write_small_configuration(copied)
    return copied


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """A copy with small experiments that was run to its end, once for all tests."""
    copied = copy_of_project(tmp_path_factory.mktemp("finished"))
    write_small_configuration(copied)
    run = copied.snakemake()
    assert run.returncode == 0, run.stdout
    return copied
