"""The doctor: is everything here that experiments need? Asked by `nir doctor`.

Each line names one thing and what it is; what is missing says what to do about it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

NEEDED_PACKAGES = ("numpy", "scipy", "trimesh", "libigl", "pycolmap", "snakemake", "matplotlib")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox")
LEAST_MEMORY_GIB = 8
LEAST_DISK_GIB = 5


def examine_installation(data_root: Path) -> list[str]:
    """Report on Python, packages, devices, memory, disk, ffmpeg, browsers and data, line by line.

    >>> examine_installation(Path("data"))[0].startswith("Python: 3.")
    True
    """
    return [
        f"Python: {platform.python_version()} on {platform.system()} {platform.machine()}",
        *_packages(),
        *_torch(),
        _driver(),
        _memory(),
        _disk(data_root),
        _ffmpeg(),
        _browser(),
        _slurm(),
        *_data(data_root),
    ]


def _packages() -> Iterator[str]:
    for name in NEEDED_PACKAGES:
        try:
            yield f"{name}: {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name}: MISSING; install it with pip install {name}"


def _torch() -> Iterator[str]:
    if importlib.util.find_spec("torch") is None:
        yield "torch: MISSING; install it as the README says"
        return
    import torch

    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs"
    yield f"torch: {torch.__version__}, {built}, {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        yield "CUDA: no GPU that torch can use; scale quick needs none, scale paper does"
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        free = torch.cuda.mem_get_info(index)[0] / 2**30
        yield f"CUDA: {facts.name}, {free:.0f} of {facts.total_memory / 2**30:.0f} GiB free"


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "GPU driver: none (no nvidia-smi)"
    answer = _answer("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    if answer is None:
        return "GPU driver: BROKEN; nvidia-smi does not answer, ask whoever keeps this machine"
    return f"GPU driver: {answer.splitlines()[0].strip() if answer.strip() else 'no GPU'}"


def _answer(*command: str) -> str | None:
    """What a program says, or None if it fails or does not answer."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout


def _memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    total = pages * size / 2**30
    free = available_memory_bytes() / 2**30
    verdict = "" if total >= LEAST_MEMORY_GIB else f"; LESS than the {LEAST_MEMORY_GIB} that suit"
    return f"memory: {free:.0f} of {total:.0f} GiB free, {os.cpu_count()} cores{verdict}"


def available_memory_bytes() -> int:
    """Host memory that a new process could use."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line.split() for line in lines if line.startswith("MemAvailable:"))
        return int(found[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _disk(data_root: Path) -> str:
    folder = Path(data_root).absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = "" if os.access(existing, os.W_OK) else ", READ-ONLY: data can be used, not fetched"
    verdict = "" if free >= LEAST_DISK_GIB else f"; LESS than the {LEAST_DISK_GIB} that suit"
    return f"disk at {data_root}: {free:.0f} GiB free{writable}{verdict}"


def _ffmpeg() -> str:
    import imageio_ffmpeg

    try:
        answer = _answer(imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-version")
    except RuntimeError:
        answer = None
    if answer is None:
        return "ffmpeg: MISSING or broken; pip install imageio-ffmpeg"
    return f"ffmpeg: {answer.splitlines()[0].removeprefix('ffmpeg version ').split()[0]}"


def _browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return f"browser: {found or 'none found; any that knows WebGL 2 shows the pages and viewers'}"


def _slurm() -> str:
    if shutil.which("sinfo") is None:
        return "SLURM: not here; only profiles/slurm needs it"
    answer = _answer("sinfo", "-h", "-o", "%P: %D nodes %a, %G")
    if answer is None:
        return "SLURM: NOT REACHABLE; sinfo does not answer, ask whoever keeps the cluster"
    missing = importlib.util.find_spec("snakemake_executor_plugin_slurm") is None
    todo = "; MISSING: pip install -e '.[slurm]'" if missing else ""
    return f"SLURM: {'; '.join(answer.splitlines())}{todo}"


def _data(data_root: Path) -> Iterator[str]:
    from nir.data.registry import registry

    entries = [entry for entry in registry().values() if entry.source in ("download", "manual")]
    present = [entry.name for entry in entries if (Path(data_root) / entry.path).exists()]
    yield f"data at {data_root}: {len(present)} of {len(entries)} downloaded sets are there"
    if present:
        yield "data: " + ", ".join(present)
