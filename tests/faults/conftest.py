"""Copies of the project for tests that do them harm."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import Project, copy_of_project, write_small_configuration


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh copy with small experiments, not run."""
    copied = copy_of_project(tmp_path)
    write_small_configuration(copied)
    return copied


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy that was run to its end with nothing in its way."""
    copied = copy_of_project(tmp_path_factory.mktemp("undisturbed"))
    write_small_configuration(copied)
    run = copied.snakemake()
    assert run.returncode == 0, run.stdout
    return copied


@pytest.fixture
def mounted(project: Project) -> Iterator[Callable[[str], None]]:
    """A function that makes `results` a file system in memory, or changes its options."""
    folder = project.folder / "results"
    folder.mkdir()
    yield lambda options: mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder))
    unmount(folder)


@pytest.fixture
def read_only(project: Project) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A function whose block sees a `results` that cannot be written; root's rights do not help."""
    folder = project.folder / "results"

    @contextlib.contextmanager
    def block() -> Iterator[None]:
        folder.mkdir(exist_ok=True)
        mount("--bind", str(folder), str(folder))
        try:
            mount("-o", "remount,bind,ro", str(folder))
            yield
        finally:
            unmount(folder)

    return block


def mount(*arguments: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    run = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip(f"no file system can be mounted here: {run.stderr.strip()}")


def unmount(folder: Path) -> None:
    detach = 2  # MNT_DETACH: also while something is open in it
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(folder), detach)
