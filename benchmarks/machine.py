"""What a measurement was made on: stands beside every number in benchmarks/results/."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from nir.memory import MALLOC_MMAP_THRESHOLD, MALLOC_TRIM_THRESHOLD

RESULTS = Path(__file__).parent / "results"


def describe(device: torch.device | str) -> dict[str, Any]:
    """Device, threads, versions and commit."""
    device = torch.device(device)
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_gpu else None,
        "python": platform.python_version(),
        "system": platform.platform(),
        "commit": _commit(),
    }


def free_as_usual() -> None:
    """Undo `nir.memory.keep_freed_memory`: what is compared with frees memory as any process does.

    The GNU C library's thresholds are those that it arrives at by itself once large tensors have
    been freed (mallopt(3): at most 32 MiB, and twice as much).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(MALLOC_MMAP_THRESHOLD, 32 * 2**20)
        mallopt(MALLOC_TRIM_THRESHOLD, 64 * 2**20)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """The commit, with "+changes" where the tree differs from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + (
            "+changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    run = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()
