"""Benchmark: many small networks as one batched ensemble against one network after another.

Both sides train the same networks (Fourier Features, Experiments/1d_scatter_plots: 16 random
frequencies, four linear maps, Adam, 1/2 sum of squares) on the same signals, in one run, in
turns; what counts is the ratio. "One after another" are ordinary `nn.Sequential`s with an
optimiser each, timed on `--alone` of them and counted up, since nobody waits for thousands.

    python benchmarks/ensembles.py                      # tiny: seconds on a CPU
    python benchmarks/ensembles.py --paper --device cuda

The paper's size is 3 alphas x 4 signals x 4 families x 9 scales, here with 10 draws of each set
of frequencies: 4320 networks.
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nir.data.signals import (
    PAPER_FAMILIES,
    draw_frequencies,
    paper_scales,
    power_law_signals,
    rescale,
)
from nir.encodings import FourierFeatures
from nir.ensembles import Ensemble, train_ensemble
from nir.files import write_json

RESULTS = Path(__file__).parent / "results"
PAPER = {"members": 4320, "width": 256, "samples": 1024, "steps": 1000, "alone": 3, "group": 512}
TINY = {"members": 64, "width": 32, "samples": 64, "steps": 50, "alone": 8, "group": 64}


def main() -> None:
    """Run the benchmark as the arguments say, print the ratio and write the JSON."""
    options = _options()
    sizes = {**(PAPER if options.paper else TINY), **_given(options)}
    record = measure(sizes, torch.device(options.device), options.repeats)
    scale = "paper" if options.paper else "tiny"
    output = options.output or RESULTS / f"ensembles-{scale}-{options.device}.json"
    write_json(output, record)
    print(
        f"{sizes['members']} networks of width {sizes['width']}, {sizes['steps']} steps: "
        f"ensemble {record['ensemble_seconds']:.2f} s, one after another "
        f"{record['alone_seconds']:.2f} s ({sizes['alone']} timed), "
        f"ratio {record['ratio']:.2f}; losses differ by {record['largest_loss_difference']:.1e}"
    )


def measure(sizes: dict[str, int], device: torch.device, repeats: int) -> dict[str, Any]:
    """Time both sides in turns after a warm-up; return times, ratio and machine."""
    waves, targets, coordinates = _problem(sizes, device)
    _together(sizes, waves[:2], targets[:2], coordinates, steps=3)
    _alone(sizes, waves[0], targets[0], coordinates, seed=0, steps=3)
    ensemble_seconds, alone_seconds, differences = [], [], []
    for _ in range(repeats):
        seconds, losses = _timed(device, lambda: _in_groups(sizes, waves, targets, coordinates))
        ensemble_seconds.append(seconds)
        seconds, own = _timed(device, lambda: _one_by_one(sizes, waves, targets, coordinates))
        alone_seconds.append(seconds * sizes["members"] / sizes["alone"])
        differences.append(((losses[: len(own)] - own).abs() / own).max().item())
    together, apart = statistics.median(ensemble_seconds), statistics.median(alone_seconds)
    return {
        "sizes": sizes,
        "ensemble_seconds": together,
        "alone_seconds": apart,
        "ratio": apart / together,
        "all_ensemble_seconds": ensemble_seconds,
        "all_alone_seconds": alone_seconds,
        "largest_loss_difference": max(differences),
        "machine": _machine(device),
    }


def _problem(sizes: dict[str, int], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Frequencies, signals and coordinates: families and scales in turn, as in figure 4."""
    generator = torch.Generator().manual_seed(1)
    scales = paper_scales().tolist()
    frequencies = [
        draw_frequencies(
            PAPER_FAMILIES[member % len(PAPER_FAMILIES)],
            scale=scales[member // len(PAPER_FAMILIES) % len(scales)],
            generator=generator,
        )
        for member in range(sizes["members"])
    ]
    samples = sizes["samples"]
    signals = power_law_signals(sizes["members"], samples, alpha=1.0, generator=generator)
    coordinates = torch.arange(samples)[:, None] / samples
    waves = 2 * math.pi * torch.stack(frequencies)
    return waves.to(device), rescale(signals)[..., None].to(device), coordinates.to(device)


def _together(
    sizes: dict[str, int],
    waves: Tensor,
    targets: Tensor,
    coordinates: Tensor,
    *,
    steps: int,
    first: int = 0,
) -> Tensor:
    ensemble = Ensemble(
        seeds=range(first, first + len(waves)), wave_vectors=waves, width=sizes["width"]
    ).to(waves.device)
    return train_ensemble(ensemble, coordinates, targets, steps=steps).train_errors[-1]


def _in_groups(sizes: dict[str, int], waves: Tensor, targets: Tensor, points: Tensor) -> Tensor:
    """All members, `group` at a time: activations of all at once may not fit into memory."""
    group = sizes["group"]
    losses = [
        _together(
            sizes,
            waves[first : first + group],
            targets[first : first + group],
            points,
            steps=sizes["steps"],
            first=first,
        )
        for first in range(0, len(waves), group)
    ]
    return torch.cat(losses)


def _one_by_one(sizes: dict[str, int], waves: Tensor, targets: Tensor, points: Tensor) -> Tensor:
    losses = [
        _alone(sizes, waves[k], targets[k], points, seed=k, steps=sizes["steps"])
        for k in range(sizes["alone"])
    ]
    return torch.stack(losses)


def _alone(
    sizes: dict[str, int],
    waves: Tensor,
    target: Tensor,
    coordinates: Tensor,
    *,
    seed: int,
    steps: int,
) -> Tensor:
    """Train one ordinary network from the start that the ensemble's member of that seed has."""
    start = Ensemble(seeds=[seed], wave_vectors=waves[None].cpu(), width=sizes["width"])
    layers: list[nn.Module] = []
    for weight in start.weights:
        layer = nn.Linear(*weight.shape[1:])
        layer.weight.data.copy_(weight.data[0].T)
        layer.bias.data.zero_()
        layers += [layer, nn.ReLU()]
    network = nn.Sequential(*layers[:-1]).to(waves.device)
    encoded = FourierFeatures(waves)(coordinates)
    descent = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(steps):
        descent.zero_grad(set_to_none=True)
        ((network(encoded) - target).square().sum() / 2).backward()
        descent.step()
    with torch.no_grad():
        return (network(encoded) - target).square().mean()


def _timed(device: torch.device, work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, result.cpu()


def _machine(device: torch.device) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": gpu or platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _commit() -> str | None:
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="the paper's sizes, thousands")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, default=None)
    for name in TINY:
        parser.add_argument(f"--{name}", type=int, default=None)
    return parser.parse_args()


def _given(options: argparse.Namespace) -> dict[str, int]:
    return {name: getattr(options, name) for name in TINY if getattr(options, name) is not None}


if __name__ == "__main__":
    main()
