"""Products are in bfloat16 where a recipe asks for it and the device is made for it."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import torch

from nir.precision import CAPABILITIES_FOR_BFLOAT16, precision_of_products, products_in

CPU = torch.device("cpu")


def processor_with(monkeypatch: pytest.MonkeyPatch, *capabilities: str) -> None:
    known = MappingProxyType({"avx2": True, **dict.fromkeys(capabilities, True)})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)


def product() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(8, 8)
    return layer(torch.randn(4, 8, generator=generator))


@pytest.mark.parametrize("capability", CAPABILITIES_FOR_BFLOAT16)
def test_a_processor_made_for_it_multiplies_bfloat16(monkeypatch, capability):
    processor_with(monkeypatch, capability)
    assert precision_of_products("bfloat16", CPU) == "bfloat16"
    with products_in("bfloat16", CPU):
        assert product().dtype == torch.bfloat16
    assert product().dtype == torch.float32


def test_another_multiplies_float32(monkeypatch):
    processor_with(monkeypatch)
    assert precision_of_products("bfloat16", CPU) == "float32"
    with products_in("bfloat16", CPU):
        assert product().dtype == torch.float32


def test_float32_stays_float32_everywhere(monkeypatch):
    processor_with(monkeypatch, *CAPABILITIES_FOR_BFLOAT16)
    with products_in("float32", CPU):
        assert product().dtype == torch.float32


def test_a_step_that_is_recorded_rounds_weights_each_time(monkeypatch):
    processor_with(monkeypatch, "amx_bf16")
    with products_in("bfloat16", CPU, is_cached=False):
        assert not torch.is_autocast_cache_enabled()
