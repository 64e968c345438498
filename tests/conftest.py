"""Shared by all tests: where recorded data may lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_runtest_setup() -> None:
    """Draws every test alike in every run: layers start from torch's own generator."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def _shared(folder: str) -> Path:
    return Path(os.environ.get("NIR_SHARED", ROOT.parent / "shared")) / folder


@pytest.fixture(scope="session")
def parity_folder() -> Path:
    """Inputs and outputs recorded from the papers' own code; tests skip where absent."""
    folder = _shared("parity")
    if not folder.is_dir():
        pytest.skip("recorded outputs of the papers' code are not on this machine")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real scenes, meshes and recordings; tests skip where absent."""
    folder = _shared("data")
    if not folder.is_dir():
        pytest.skip("real data sets are not on this machine")
    return folder
