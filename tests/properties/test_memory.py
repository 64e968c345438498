"""Memory that is freed and asked for again does not come from the system each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

PAGES_OF_A_TENSOR = 64 * 2**20 // 4096
COUNTING = """
import resource, sys, torch
from nir.memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else None
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(kept, pages())
"""


def brought_anew(how: str) -> tuple[str, int]:
    """What keep_freed_memory answered, and the pages that ten tensors of 64 MiB needed."""
    ran = subprocess.run(
        [sys.executable, "-c", COUNTING, how], capture_output=True, text=True, check=True
    )
    kept, pages = ran.stdout.split()
    return kept, int(pages)


def test_freed_memory_is_kept_where_it_is_said_to_be():
    kept, pages = brought_anew("kept")
    if kept == "False":
        pytest.skip("not the GNU C library")
    assert pages < PAGES_OF_A_TENSOR / 10


def test_without_it_the_system_brings_pages_for_every_tensor():
    """Should this fail, the C library has learned it by itself and the module can go."""
    if brought_anew("kept")[0] == "False":
        pytest.skip("not the GNU C library")
    assert brought_anew("as ever")[1] > PAGES_OF_A_TENSOR / 10
