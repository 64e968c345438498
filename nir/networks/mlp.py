"""Networks: multilayer perceptrons from encoded coordinates to values, and how they start.

`width` is the number of units of a hidden layer, `hidden_layers` counts the layers between the
first linear map and the last, so an `MLP` has hidden_layers + 2 linear maps and
hidden_layers + 1 activations (SIREN's "3 hidden" is five linear layers, four sines).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F


class SineLayer(nn.Linear):
    """sin(omega_0 (W x + b)) (SIREN section 3.2; the code multiplies the bias too).

    omega_0 is folded into the weights before the product: one pass less over the activations.
    """

    def __init__(self, inputs: int, outputs: int, *, omega_0: float = 30.0) -> None:
        super().__init__(inputs, outputs)
        self.omega_0 = omega_0

    def forward(self, x: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        """Apply the layer."""
        return torch.sin(F.linear(x, self.weight * self.omega_0, self.bias * self.omega_0))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "elu": F.elu,
    "selu": F.selu,
    "none": lambda x: x,
}


class ActivatedLayer(nn.Linear):
    """activation(W x + b) for an activation without parameters."""

    def __init__(self, inputs: int, outputs: int, *, activation: str) -> None:
        super().__init__(inputs, outputs)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        """Apply the layer."""
        return self.activation(super().forward(x))


class MLP(nn.Module):
    """A multilayer perceptron; `layers` holds the activated ones, `last` the final linear map.

    activation: a name in `ACTIVATIONS`, or "sine" (then `omega_0` applies to all layers but the
    first, which has `first_omega_0`). initialisation: a name in `INITIALISATIONS`; the default is
    the one published for the activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 256,
        hidden_layers: int = 3,
        activation: str = "relu",
        omega_0: float = 30.0,
        first_omega_0: float = 30.0,
        output_activation: str = "none",
        initialisation: str | None = None,
        generator: Generator,
    ) -> None:
        super().__init__()
        self.omega_0 = omega_0
        sizes = [inputs] + [width] * (hidden_layers + 1)
        with torch.random.fork_rng(devices=[]):  # nn.Linear draws numbers, which are not kept
            self.layers = nn.ModuleList(
                SineLayer(i, o, omega_0=omega_0 if depth else first_omega_0)
                if activation == "sine"
                else ActivatedLayer(i, o, activation=activation)
                for depth, (i, o) in enumerate(itertools.pairwise(sizes))
            )
            self.last = nn.Linear(width, outputs)
        self.output_activation = ACTIVATIONS[output_activation]
        initialise(self, initialisation or PUBLISHED_INITIALISATION[activation], generator)

    def linear_maps(self) -> list[nn.Linear]:
        """All linear maps from first to last."""
        return [*self.layers, self.last]

    def forward(self, x: Float[Tensor, "*batch i"]) -> Float[Tensor, "*batch o"]:
        """Evaluate the network on encoded coordinates of any leading shape."""
        for layer in self.layers:
            x = layer(x)
        return self.output_activation(self.last(x))


def parameter_count(module: nn.Module) -> int:
    """Number of trainable numbers in a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


# ---- how a network starts: one function fills one linear map, given its depth in the network ----

Initialiser = Callable[[nn.Linear, int, float, Generator], None]


@torch.no_grad()
def initialise(network: MLP, name: str, generator: Generator) -> None:
    """Fill all linear maps of `network` by the initialisation of that name."""
    for depth, linear in enumerate(network.linear_maps()):
        INITIALISATIONS[name](linear, depth, network.omega_0, generator)


def _uniform(tensor: Tensor, bound: float, generator: Generator) -> None:
    tensor.uniform_(-bound, bound, generator=generator)


def _pytorch(linear: nn.Linear, depth: int, omega_0: float, generator: Generator) -> None:
    """torch.nn.Linear's default: weights and bias U(+-1/sqrt(n))."""
    _uniform(linear.weight, 1 / math.sqrt(linear.in_features), generator)
    _uniform(linear.bias, 1 / math.sqrt(linear.in_features), generator)


def _siren(linear: nn.Linear, depth: int, omega_0: float, generator: Generator) -> None:
    """First layer U(+-1/n), the others U(+-sqrt(6/n)/omega_0), the last, linear one included.

    vsitzmann/siren:modules.py; biases keep PyTorch's default.
    """
    n = linear.in_features
    _uniform(linear.weight, 1 / n if depth == 0 else math.sqrt(6 / n) / omega_0, generator)
    _uniform(linear.bias, 1 / math.sqrt(n), generator)


def _siren_slide(linear: nn.Linear, depth: int, omega_0: float, generator: Generator) -> None:
    """The lecture's formula taken literally: U(+-sqrt(6/n)) without omega_0.

    Theorem 1.8 of the paper has this form for a sine of unit frequency.
    """
    _siren(linear, depth, 1.0, generator)


def _siren_unit(linear: nn.Linear, depth: int, omega_0: float, generator: Generator) -> None:
    """The initial function of `_siren` at omega_0 = 30, for layers written sin(W' x + b').

    W' = 30 W and b' = 30 b. It trains differently: Adam moves W' thirty times faster in the form
    sin(30 (W x + b)) (SIREN section 3.2). The last layer has no sine, hence no factor.
    """
    _siren(linear, depth, 30.0, generator)
    if isinstance(linear, SineLayer):
        linear.weight.mul_(30.0)
        linear.bias.mul_(30.0)


def _normal(gain: float, *, both_fans: bool = False) -> Initialiser:
    """Weights N(0, gain^2 / fan), fan-in or the mean of fan-in and fan-out; PyTorch's bias."""

    def fill(linear: nn.Linear, depth: int, omega_0: float, generator: Generator) -> None:
        fan = linear.in_features
        if both_fans:
            fan = (fan + linear.out_features) / 2
        linear.weight.normal_(0, gain / math.sqrt(fan), generator=generator)
        _uniform(linear.bias, 1 / math.sqrt(linear.in_features), generator)

    return fill


def _xavier_truncated(linear: nn.Linear, depth: int, omega_0: float, generator: Generator) -> None:
    """Xavier's normal cut at two deviations (vsitzmann/siren:modules.py, for its PINN)."""
    deviation = math.sqrt(2 / (linear.in_features + linear.out_features))
    nn.init.trunc_normal_(
        linear.weight, 0, deviation, -2 * deviation, 2 * deviation, generator=generator
    )
    _uniform(linear.bias, 1 / math.sqrt(linear.in_features), generator)


def _glorot_normal(linear: nn.Linear, depth: int, omega_0: float, generator: Generator) -> None:
    """jax.stax.Dense: Glorot normal weights, N(0, 0.01^2) biases (Fourier Features' notebooks)."""
    _normal(1.0, both_fans=True)(linear, depth, omega_0, generator)
    linear.bias.normal_(0, 1e-2, generator=generator)


def _lecun_normal(linear: nn.Linear, depth: int, omega_0: float, generator: Generator) -> None:
    """neural_tangents' stax.Dense, standard parameterisation: N(0, 1 / fan_in), biases zero.

    Fourier Features' notebooks on kernels and on 1-D signals; their learning rates belong to it.
    """
    linear.weight.normal_(0, 1 / math.sqrt(linear.in_features), generator=generator)
    linear.bias.zero_()


INITIALISATIONS: dict[str, Initialiser] = {
    "siren": _siren,
    "siren_slide": _siren_slide,
    "siren_unit": _siren_unit,
    "pytorch": _pytorch,
    "glorot_normal": _glorot_normal,
    "kaiming_normal": _normal(math.sqrt(2)),
    "xavier_normal": _normal(1.0, both_fans=True),
    "xavier_truncated": _xavier_truncated,
    "lecun_normal": _lecun_normal,
    "selu_normal": _normal(1.0),
    "elu_normal": _normal(math.sqrt(1.5505188080679277)),
}

# vsitzmann/siren:modules.py FCBlock pairs each activation with one of these.
PUBLISHED_INITIALISATION = {
    "sine": "siren",
    "relu": "kaiming_normal",
    "leaky_relu": "kaiming_normal",
    "softplus": "kaiming_normal",
    "tanh": "xavier_normal",
    "sigmoid": "xavier_normal",
    "selu": "selu_normal",
    "elu": "elu_normal",
    "none": "xavier_normal",
}
