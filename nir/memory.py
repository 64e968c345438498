"""Memory: having it kept from step to step, and telling when there was too little of it."""

from __future__ import annotations

import ctypes
import sys

import torch

MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3
"""Names of mallopt's parameters (malloc.h of the GNU C library)."""


def keep_freed_memory() -> bool:
    """Let the C library keep what this process frees, up to 1 GiB a piece; whether it does.

    A step of training frees and asks for the same tensors again and again. The GNU C library
    gives large ones back to the system each time, which brings every page anew, filled with
    zeros: a third of the time of a NeX step. Elsewhere than with that library nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    is_kept = mallopt(MALLOC_MMAP_THRESHOLD, 2**30) and mallopt(MALLOC_TRIM_THRESHOLD, 2**31 - 1)
    return bool(is_kept)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was lacking, on whichever device.

    PyTorch has a class of its own for GPUs; its allocator on a CPU raises a plain RuntimeError,
    which names it ("can't allocate memory", or "not enough memory"), and NumPy a MemoryError.
    """
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )
