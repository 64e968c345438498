"""In which precision a device multiplies: the recipe's, where the device is made for it."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch

CAPABILITIES_FOR_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Any of them: x86's two, then ARM's two, as `torch.cpu.get_capabilities` names them."""


def precision_of_products(asked: str, device: torch.device) -> str:
    """The precision that products on a device have where a recipe asks for `asked`.

    bfloat16 where the device multiplies it; elsewhere float32, since a processor without such
    instructions takes several times as long for each product in bfloat16.
    """
    if asked == "bfloat16" and multiplies_bfloat16(device):
        return "bfloat16"
    return "float32"


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions that multiply bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in CAPABILITIES_FOR_BFLOAT16)


def products_in(
    precision: str, device: torch.device, *, is_cached: bool = True
) -> AbstractContextManager[None]:
    """Within the block, products of networks have the precision of `precision_of_products`.

    is_cached: weights are rounded once in a block; not where a step is recorded to be replayed.
    """
    if precision_of_products(precision, device) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=is_cached)
