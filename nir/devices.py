"""Devices: two trainings of one machine never share a GPU unless asked.

A *slot* is a share of one GPU; a training takes a free one by flock on a file and sees that GPU
alone (CUDA_VISIBLE_DEVICES). Which GPUs there are is what CUDA_VISIBLE_DEVICES lists, or else what
the driver knows. Two trainings side by side on a GPU: NIR_TRAININGS_PER_GPU=2.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nir.errors import InputError

PER_GPU = "NIR_TRAININGS_PER_GPU"
VISIBLE = "CUDA_VISIBLE_DEVICES"
POLL_SECONDS = 0.5


def gpus_of_machine() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES spells them."""
    if (stated := os.environ.get(VISIBLE)) is not None:
        return [name.strip() for name in stated.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    asked = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


@contextlib.contextmanager
def gpu_slot(device: str, say: Callable[[str], None], folder: Path | None = None) -> Iterator[str]:
    """Hold a free slot for the block and let this process see its GPU alone; yield the GPU's name.

    device: as on the command line; "cpu" and a GPU that is named, such as "cuda:1", need no slot.
    folder: where slots lie; by default one for each user and job of SLURM on this machine, since
    a job's GPUs are its own and may be numbered anew.
    Call it before torch starts CUDA. Waits while all slots are taken. Yields "" without a GPU.
    """
    gpus = gpus_of_machine() if device in ("auto", "cuda") else []
    if not gpus:
        yield ""
        return
    with contextlib.ExitStack() as held:
        gpu = _take(gpus, folder or _default_folder(), say, held)
        before = os.environ.get(VISIBLE)
        os.environ[VISIBLE] = gpu
        try:
            yield gpu
        finally:
            os.environ.pop(VISIBLE)
            if before is not None:
                os.environ[VISIBLE] = before


def trainings_per_gpu() -> int:
    """How many trainings may share a GPU; one unless asked."""
    text = os.environ.get(PER_GPU, "1")
    if not (text.isdecimal() and int(text) >= 1):
        raise InputError(f"{PER_GPU}={text}: a whole number from 1 on is expected")
    return int(text)


def _take(
    gpus: list[str], folder: Path, say: Callable[[str], None], held: contextlib.ExitStack
) -> str:
    """Lock the first free slot, all first shares before any second; wait if there is none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    slots = [(gpu, share) for share in range(trainings_per_gpu()) for gpu in gpus]
    told = False
    while True:
        for gpu, share in slots:
            handle = (folder / f"gpu-{gpu.replace('/', '_')}-{share}.lock").open("w")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.close()
                continue
            held.enter_context(handle)
            return gpu
        if not told:
            say(f"waits for a free GPU (of {len(gpus)}; {PER_GPU} lets several share one)")
            told = True
        time.sleep(POLL_SECONDS)


def _default_folder() -> Path:
    job = os.environ.get("SLURM_JOB_ID", "")
    name = f"nir-gpus-{os.getuid()}" + (f"-job{job}" if job else "")
    return Path(tempfile.gettempdir()) / name
