"""Memory: telling that there was too little of it from all else that can go wrong."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was lacking, on whichever device.

    PyTorch has a class of its own for GPUs; its allocator on a CPU raises a plain RuntimeError,
    which names it ("can't allocate memory", or "not enough memory"), and NumPy a MemoryError.
    """
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )
