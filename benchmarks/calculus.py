"""Benchmark: a training step on derivatives in one forward sweep, against nested autograd.grad.

    python benchmarks/calculus.py [--json FILE] [--threads 1 2] [--paper] [--device cuda]

Both ways of each case run alternately in one process, which gives the ratio of their median times;
their peak memory is taken in a process of its own each. A step is: derivatives, loss, gradient by
the parameters, Adam. `--paper` takes the papers' numbers of points. "deviation" is that of the two
losses, relative.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nir.files import write_json
from nir.networks.mlp import MLP
from nir.operators.calculus import (
    losses_in_chunks,
    value_and_gradient,
    value_gradient_and_laplacian,
    value_gradient_and_second_derivatives,
)

MODES = ("taylor", "autograd")
Loss = Callable[[MLP, Tensor, str], Tensor]  # a sum over points


def laplacian_loss(field: MLP, x: Tensor, mode: str) -> Tensor:
    """Poisson from the Laplacian (SIREN section 4.1), scaled to stay finite for long."""
    return 1e-6 * value_gradient_and_laplacian(field, x, mode=mode)[2].square().sum()


def wave_loss(field: MLP, txy: Tensor, mode: str) -> Tensor:
    """u_tt - c^2 (u_xx + u_yy), L1 (SIREN section 4.3, c = 1)."""
    return value_gradient_and_laplacian(field, txy, (1, -1, -1), mode=mode)[2].abs().sum()


def eikonal_loss(field: MLP, x: Tensor, mode: str) -> Tensor:
    """| |grad| - 1 | (SIREN section 4.2); a lone gradient."""
    value, gradient = value_and_gradient(field, x, mode=mode)
    return (gradient.norm(dim=-1) - 1).abs().sum() + value.abs().sum()


WAVENUMBER, LAYER_WIDTH, ATTENUATION = 20.0, 0.5, 5.0  # vsitzmann/siren:dataio.py


def stretch(x: Tensor) -> tuple[Tensor, Tensor]:
    """The perfectly matched layer's factor e = 1 - i s / k along one axis, and its derivative."""
    depth = (x.abs() - (1 - LAYER_WIDTH)).clamp(min=0) / LAYER_WIDTH
    slope = ATTENUATION * 2 * depth * x.sign() / LAYER_WIDTH
    return torch.complex(torch.ones_like(x), -ATTENUATION * depth**2), -1j * slope


def helmholtz_loss(field: MLP, x: Tensor, mode: str) -> Tensor:
    """(A u_x)_x + (B u_y)_y + C k^2 u, L1, u complex in two channels (SIREN supplement 6)."""
    residual = helmholtz_taylor(field, x) if mode == "taylor" else helmholtz_nested(field, x)
    return residual.real.abs().sum() + residual.imag.abs().sum()


def helmholtz_taylor(field: MLP, x: Tensor) -> Tensor:
    """The products' derivatives written out: A, B are known functions of one axis each."""
    u, first, second = (
        torch.complex(t[:, 0], t[:, 1]) for t in value_gradient_and_second_derivatives(field, x)
    )
    (ex, ex_x), (ey, ey_y) = stretch(x[:, 0]), stretch(x[:, 1])
    along_x = ey / ex * (second[:, 0] - ex_x / ex * first[:, 0])
    along_y = ex / ey * (second[:, 1] - ey_y / ey * first[:, 1])
    return along_x + along_y + ex * ey * WAVENUMBER**2 * u


def helmholtz_nested(field: MLP, x: Tensor) -> Tensor:
    """The divergence form differentiated as it stands, as the authors' code does."""
    x = x.detach().requires_grad_()
    value = field(x)

    def gradient(t: Tensor) -> Tensor:
        return torch.autograd.grad(t.sum(), x, create_graph=True)[0]

    first = torch.complex(gradient(value[:, 0]), gradient(value[:, 1]))
    ex, ey = stretch(x[:, 0])[0], stretch(x[:, 1])[0]
    residual = ex * ey * WAVENUMBER**2 * torch.complex(value[:, 0], value[:, 1])
    for axis, factor in enumerate((ey / ex, ex / ey)):
        flux = factor * first[:, axis]
        residual = residual + torch.complex(
            gradient(flux.real)[:, axis], gradient(flux.imag)[:, axis]
        )
    return residual


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, a loss and how many points a step takes: here, and in the paper."""

    inputs: int
    outputs: int
    width: int
    loss: Loss
    points: int
    paper_points: int


CASES = {
    "laplacian": Case(
        inputs=2, outputs=1, width=256, loss=laplacian_loss, points=128**2, paper_points=256**2
    ),
    "wave": Case(inputs=3, outputs=1, width=512, loss=wave_loss, points=64**2, paper_points=340**2),
    "helmholtz": Case(
        inputs=2, outputs=2, width=256, loss=helmholtz_loss, points=64**2, paper_points=230**2
    ),
    "eikonal": Case(
        inputs=3, outputs=1, width=256, loss=eikonal_loss, points=2800, paper_points=2800
    ),
}


class Step:
    """One training step of a case in one mode."""

    def __init__(self, case: Case, mode: str, points: int, chunk: int, device: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self.field = MLP(
            case.inputs, case.outputs, width=case.width, activation="sine", generator=generator
        ).to(device)
        x = torch.rand(points, case.inputs, generator=generator) * 2 - 1
        self.x, self.loss, self.mode, self.chunk = x.to(device), case.loss, mode, chunk
        self.optimizer = torch.optim.Adam(self.field.parameters(), lr=1e-5)

    def total(self) -> Tensor:
        """The loss of all points, with a graph."""
        if not self.chunk:
            return self.loss(self.field, self.x, self.mode)
        return losses_in_chunks(
            lambda x: {"loss": self.loss(self.field, x, self.mode)},
            self.x,
            parameters=self.field.parameters(),
            points_per_chunk=self.chunk,
        )["loss"]

    def run(self) -> float:
        """Take a step; its time in seconds."""
        start = time.perf_counter()
        self.optimizer.zero_grad()
        self.total().backward()
        self.optimizer.step()
        if self.x.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start


def measure_time(steps: dict[str, Step], seconds: float) -> dict[str, float]:
    """Median times of the modes, taken in turns, and how far their losses are apart."""
    losses = [float(step.total().detach()) for step in steps.values()]
    for step in steps.values():
        step.run()
    times: dict[str, list[float]] = {mode: [] for mode in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["taylor"]) < 3:
        for mode, step in steps.items():
            times[mode].append(step.run())
    result = {f"{mode}_seconds": statistics.median(t) for mode, t in times.items()}
    result["ratio"] = result["autograd_seconds"] / result["taylor_seconds"]
    result["deviation"] = abs(losses[0] - losses[1]) / abs(losses[1])
    return result


def measure_memory(step: Step) -> float:
    """Peak of one step in MiB, without what the process held before."""
    if step.x.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step.run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step.run()
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return kibibytes / (2**20 if sys.platform == "darwin" else 2**10)


def child(arguments: argparse.Namespace) -> dict[str, float]:
    """What one process measures: the times of both modes, or the memory of one."""
    torch.set_num_threads(arguments.threads[0])
    case = CASES[arguments.cases[0]]
    points = case.paper_points if arguments.paper else case.points
    steps = {
        mode: Step(case, mode, points, arguments.chunk, arguments.device)
        for mode in (MODES if arguments.child == "time" else [arguments.child])
    }
    if arguments.child == "time":
        return {"points": points, **measure_time(steps, arguments.seconds)}
    return {f"{arguments.child}_peak_mib": measure_memory(steps[arguments.child])}


def in_process_of_its_own(arguments: argparse.Namespace, name: str, threads: int, what: str):
    """Run `child` in a fresh interpreter."""
    command = [sys.executable, __file__, "--child", what, "--cases", name]
    command += ["--threads", str(threads), "--seconds", str(arguments.seconds)]
    command += ["--chunk", str(arguments.chunk), "--device", arguments.device]
    command += ["--paper"] if arguments.paper else []
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def git_commit() -> str | None:
    """The checkout's commit, None outside one."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else None


def machine(device: str) -> dict[str, str | int | None]:
    """What the numbers depend on."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor()
    return {
        "device": device,
        "device_name": name or platform.machine(),
        "cpu_cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "git_commit": git_commit(),
    }


COLUMNS = (
    ("case", "{case}"),
    ("points", "{points}"),
    ("threads", "{threads}"),
    ("taylor s", "{taylor_seconds:.3f}"),
    ("autograd s", "{autograd_seconds:.3f}"),
    ("ratio", "{ratio:.2f}"),
    ("taylor MiB", "{taylor_peak_mib:.0f}"),
    ("autograd MiB", "{autograd_peak_mib:.0f}"),
    ("deviation", "{deviation:.0e}"),
)


def print_row(cells: list[str]) -> None:
    """One aligned line, at once."""
    print("  ".join(f"{cell:>12}" for cell in cells), flush=True)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=10, help="at least, for each case")
    parser.add_argument("--paper", action="store_true", help="the papers' numbers of points")
    parser.add_argument("--chunk", type=int, default=0, help="points at a time; 0 is all")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--child", choices=["time", *MODES], help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    arguments = parse(argv)
    if arguments.child:
        print(json.dumps(child(arguments)))
        return
    print_row([title for title, _ in COLUMNS])
    rows = []
    for name in arguments.cases:
        for threads in arguments.threads:
            row = {"case": name, "threads": threads, "points_per_chunk": arguments.chunk or None}
            for what in ("time", *MODES):
                row |= in_process_of_its_own(arguments, name, threads, what)
            rows.append(row)
            print_row([form.format(**row) for _, form in COLUMNS])
    if arguments.json:
        write_json(arguments.json, {"machine": machine(arguments.device), "rows": rows})


if __name__ == "__main__":
    main()
