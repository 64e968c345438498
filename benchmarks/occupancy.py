"""Benchmark: meshing a paper-size Occupancy Network, and its training steps.

    python -m benchmarks occupancy [--device cuda] [--cells 256] [--steps 200] [--json FILE]

The decoder, 256 wide, first learns a ball for some steps; then its surface is extracted from
`cells`³ by multi-resolution meshing. Counted are evaluations against the dense grid's, seconds, and
the memory that the process has held at most. Training steps are those of the single-picture recipe
on random pictures, with its batch of 64 shapes unless --batch says otherwise.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from benchmarks.machine import RESULTS, describe
from nir.data.shape_sampling import padded_cube
from nir.files import write_json
from nir.geometry.multiresolution import multiresolution_surface
from nir.networks.occupancy import ConditionalDecoder
from nir.networks.shape_encoders import ImageEncoder


def held_bytes(device: torch.device) -> int:
    """The most memory held so far: the device's, or the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ball(device: torch.device, steps: int = 60) -> tuple[ConditionalDecoder, torch.Tensor]:
    """A paper-size decoder that knows one ball, and the ball's code."""
    generator = torch.Generator().manual_seed(0)
    decoder = ConditionalDecoder(code_size=256, generator=generator).to(device)
    code = torch.randn(1, 256, generator=generator).to(device)
    optimiser = torch.optim.Adam(decoder.parameters(), lr=1e-3)
    for _ in range(steps):
        points = 1.1 * (torch.rand(1, 2048, 3, generator=generator).to(device) - 0.5)
        inside = (points.norm(dim=-1) < 0.4).float()
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(decoder(points, code), inside).backward()
        optimiser.step()
    return decoder.eval(), code


def meshing(device: torch.device, cells: int) -> dict[str, float]:
    """Extract the ball at a resolution; what it took."""
    decoder, code = ball(device)
    before = held_bytes(device)
    lower, upper = padded_cube()
    began = time.perf_counter()
    found = multiresolution_surface(
        lambda points: decoder(points[None], code)[0],
        lower,
        upper,
        level=0.0,
        doublings=(cells // 32).bit_length() - 1,
        device=device,
    )
    return {
        "cells": cells,
        "faces": len(found.faces),
        "evaluations": found.evaluations,
        "share_of_dense": found.evaluations / (cells + 1) ** 3,
        "seconds": time.perf_counter() - began,
        "bytes_before": before,
        "bytes_held_at_most": held_bytes(device),
    }


def training(device: torch.device, steps: int, batch: int) -> dict[str, float]:
    """Steps a second of the single-picture network at paper size."""
    generator = torch.Generator().manual_seed(0)
    encoder = ImageEncoder(generator=generator).to(device)
    decoder = ConditionalDecoder(code_size=256, generator=generator).to(device)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-4)
    images = torch.rand(batch, 3, 224, 224, device=device)
    points = torch.rand(batch, 2048, 3, device=device) - 0.5
    inside = (points.norm(dim=-1) < 0.4).float()
    began, loss = time.perf_counter(), torch.zeros(())
    for _ in range(steps):
        optimiser.zero_grad()
        logits = decoder(points, encoder(images))
        error = F.binary_cross_entropy_with_logits(logits, inside, reduction="none")
        loss = error.sum(dim=1).mean()
        loss.backward()
        optimiser.step()
    last = loss.item()  # waits for the device
    seconds = time.perf_counter() - began
    return {
        "batch": batch,
        "steps": steps,
        "steps_a_second": steps / seconds,
        "loss": last,
        "bytes_held_at_most": held_bytes(device),
    }


def main() -> None:
    """Measure and write the numbers."""
    parser = argparse.ArgumentParser(prog="benchmarks.occupancy")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cells", type=int, default=256)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=0, help="shapes; 0: 64, on a CPU 2")
    parser.add_argument("--json", type=Path, default=RESULTS / "occupancy-cpu.json")
    options = parser.parse_args()
    device = torch.device(options.device)
    batch = options.batch or (64 if device.type == "cuda" else 2)
    result = {
        "machine": describe(device),
        "meshing": meshing(device, options.cells),
        "training": training(device, options.steps, batch),
    }
    write_json(options.json, result)
    for name in ("meshing", "training"):
        print(name, result[name], flush=True)


if __name__ == "__main__":
    main()
