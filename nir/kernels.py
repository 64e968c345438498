"""Kernels: what a wide network's training is equivalent to (Fourier Features, sections 3 to 5).

*NNGP* is the covariance of the outputs at initialisation, *NTK* the inner product of the outputs'
gradients with respect to all weights; both are matrices [points, points] over two lists of inputs.
A *kernel* here is a callable (x [n, d], y [m, d]) -> [n, m], and `composed` puts an encoding in
front of one. The analytic kernels are those of a ReLU multilayer perceptron of infinite width,
by the arc-cosine recursion (Cho & Saul 2009; Jacot et al. 2018); the empirical NTK is J J^T of any
module.

*Parameterisation* "standard": y = W x + b, W ~ N(0, weight_std^2 / fan_in), b ~ N(0, bias_std^2).
"ntk": y = weight_std / sqrt(fan_in) W x + bias_std b, all of W, b ~ N(0, 1). Both have the same
NNGP. The standard NTK grows with the width: its learning rates are the ones of ordinary training.
`linear_maps` counts all layers with weights: the papers' "4 layers" (3 hidden and the output).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from nir.errors import InputError

Kernel = Callable[[Tensor, Tensor], Tensor]
Parameterisation = Literal["standard", "ntk"]

# ---- analytic -----------------------------------------------------------------------------------


def _angle(cosine: Tensor) -> tuple[Tensor, Tensor]:
    """Angle in [0, pi] and its sine, with zero instead of infinite gradients at cosine +-1."""
    inside = cosine.abs() < 1
    # Both branches of `where` are differentiated: the unsafe one must not see +-1 either.
    safe = torch.where(inside, cosine, torch.zeros_like(cosine))
    ends = torch.where(cosine > 0, 0.0, math.pi).to(cosine.dtype)
    angle = torch.where(inside, torch.acos(safe), ends)
    sine = torch.where(inside, torch.sqrt((1 - safe) * (1 + safe)), torch.zeros_like(cosine))
    return angle, sine


def arc_cosine_0(cosine: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """kappa_0(u) = (pi - arccos u) / pi = 2 E[step(a) step(b)] for unit Gaussians of covariance u.

    Its derivative is infinite at u = +-1; there the gradient is given as 0. Values beyond +-1, as
    rounding produces them, count as +-1.

    >>> arc_cosine_0(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return 1 - _angle(cosine)[0] / math.pi


def arc_cosine_1(cosine: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """kappa_1(u) = (u (pi - arccos u) + sqrt(1 - u^2)) / pi = 2 E[relu(a) relu(b)].

    Its derivative is kappa_0, also at u = +-1.

    >>> arc_cosine_1(torch.tensor([-1.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    angle, sine = _angle(cosine)
    return (cosine.clamp(-1, 1) * (math.pi - angle) + sine) / math.pi


@dataclass(frozen=True, kw_only=True)
class ReluNetwork:
    """The infinitely wide ReLU network whose NNGP and NTK are computed, for inputs of any norm.

    The defaults are neural_tangents' in the paper's notebooks (weights N(0, 1 / fan_in), zero but
    trained biases): every ReLU then halves the variance. weight_std = sqrt(2) keeps it. `width` is
    the hidden layers' width; only the standard NTK depends on it.
    """

    linear_maps: int = 4  # 1d_regression: 3 hidden layers and the output
    width: int | None = 1024  # 1d_regression
    weight_std: float = 1.0
    bias_std: float = 0.0
    parameterisation: Parameterisation = "standard"
    biases: bool = True

    def __post_init__(self) -> None:
        if self.parameterisation not in ("standard", "ntk"):
            raise InputError(f"parameterisation is {self.parameterisation!r}; standard or ntk")
        if self.linear_maps < 1:
            raise InputError(f"linear_maps is {self.linear_maps}; it must be at least 1")
        if self.parameterisation == "standard" and self.width is None:
            raise InputError("the standard parameterisation's NTK needs a width; give one")

    def nngp(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        """Covariance of the outputs at x and y over initialisations."""
        return self._of_inputs(x, y)[0]

    def ntk(self, x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        """Neural tangent kernel between the (encoded) inputs x and y."""
        return self._of_inputs(x, y)[1]

    def ntk_of_cosine(
        self, cosine: Float[Tensor, "*shape"], *, inputs: int, squared_norm: float = 1.0
    ) -> Float[Tensor, "*shape"]:
        """h_NTK(u): the NTK of two inputs of `inputs` components, equal norm and cosine u.

        >>> he = ReluNetwork(linear_maps=3, weight_std=2**0.5, parameterisation="ntk")
        >>> round(he.ntk_of_cosine(torch.ones(()), inputs=2).item(), 5)  # = number of linear maps
        3.0
        """
        norms = torch.full_like(cosine, squared_norm)
        return self._recursion(cosine * squared_norm, norms, norms, inputs)[1]

    def _of_inputs(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x_norms = x.square().sum(-1)[:, None]
        y_norms = y.square().sum(-1)[None, :]
        return self._recursion(x @ y.T, x_norms, y_norms, x.shape[-1])

    def _recursion(
        self, products: Tensor, x_norms: Tensor, y_norms: Tensor, inputs: int
    ) -> tuple[Tensor, Tensor]:
        """NNGP and NTK from inner products and squared norms of the inputs."""
        nngp = self._covariance(products / inputs)
        ntk = self._gradient(products / inputs, inputs)
        x_variance = self._covariance(x_norms / inputs)
        y_variance = self._covariance(y_norms / inputs)
        for _ in range(self.linear_maps - 1):
            scale = _safe_root(x_variance * y_variance)
            cosine = nngp / torch.where(scale > 0, scale, torch.ones_like(scale))
            activations = scale * arc_cosine_1(cosine) / 2
            slopes = arc_cosine_0(cosine) / 2
            nngp = self._covariance(activations)
            ntk = self.weight_std**2 * slopes * ntk + self._gradient(activations, self.width or 1)
            x_variance = self._covariance(x_variance / 2)
            y_variance = self._covariance(y_variance / 2)
        return nngp, ntk

    def _covariance(self, products_per_input: Tensor) -> Tensor:
        """Covariance behind a linear map, given the mean product of its inputs."""
        return self.weight_std**2 * products_per_input + self.bias_std**2

    def _gradient(self, products_per_input: Tensor, fan_in: int) -> Tensor:
        """Share of this linear map's own weights and biases in the NTK of its output."""
        if self.parameterisation == "standard":
            return fan_in * products_per_input + (1.0 if self.biases else 0.0)
        bias = self.bias_std**2 if self.biases else 0.0
        return self.weight_std**2 * products_per_input + bias


def _safe_root(square: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0."""
    positive = square > 0
    root = torch.sqrt(torch.where(positive, square, torch.ones_like(square)))
    return torch.where(positive, root, torch.zeros_like(square))


# ---- composition with encodings -----------------------------------------------------------------


def composed(kernel: Kernel, encoding: Callable[[Tensor], Tensor]) -> Kernel:
    """Kernel of coordinates: `kernel` after `encoding` on both sides (Fourier Features sec. 4)."""

    def kernel_of_coordinates(v: Tensor, w: Tensor) -> Tensor:
        return kernel(encoding(v), encoding(w))

    return kernel_of_coordinates


def gaussian_features_limit(network: ReluNetwork, bandwidth: float, *, features: int) -> Kernel:
    """NTK behind infinitely many Gaussian Fourier features of standard deviation `bandwidth`.

    The mean of cos(2 pi b.(v - w)) over b ~ N(0, bandwidth^2 I) is exp(-2 pi^2 bandwidth^2
    |v - w|^2); `features` (twice the number of frequencies) sets the norm |gamma|^2 = features / 2
    of amplitudes a = 1.
    """

    def kernel(v: Tensor, w: Tensor) -> Tensor:
        differences = v[:, None, :] - w[None, :, :]
        exponent = differences.square().sum(-1) * (2 * math.pi**2 * bandwidth**2)
        return network.ntk_of_cosine(
            torch.exp(-exponent), inputs=features, squared_norm=features / 2
        )

    return kernel


def departure_from_stationarity(
    kernel: Kernel, coordinates: Float[Tensor, "n d"], shifts: Float[Tensor, "s d"]
) -> Float[Tensor, " s"]:
    """max |K(v + s, w + s) - K(v, w)| / max |K| for each shift: 0 for a stationary kernel."""
    at_rest = kernel(coordinates, coordinates)
    moved = [kernel(coordinates + shift, coordinates + shift) for shift in shifts]
    return torch.stack([(k - at_rest).abs().max() for k in moved]) / at_rest.abs().max()


def kernel_correlations(kernel_matrix: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """K(x, y) / sqrt(K(x, x) K(y, y)): the kernel's form, without its scale at any point.

    >>> kernel_correlations(torch.tensor([[4.0, 3.0], [3.0, 9.0]]))[0].tolist()
    [1.0, 0.5]
    """
    scale = kernel_matrix.diagonal().rsqrt()
    return scale[:, None] * kernel_matrix * scale


# ---- empirical ----------------------------------------------------------------------------------


def parameter_jacobian(
    network: nn.Module, inputs: Float[Tensor, "n d"]
) -> Float[Tensor, "n outputs parameters"]:
    """Derivatives of the outputs with respect to all trainable parameters, in their order."""
    parts = _jacobian_by_parameter(network, inputs)
    return torch.cat([part.flatten(2) for part in parts], dim=-1)


def empirical_ntk(
    network: nn.Module,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m d"] | None = None,
    *,
    points_at_once: int = 16,
) -> Float[Tensor, "n m"]:
    """J J^T of a network as it stands, averaged over its outputs; `y` is `x` when left out.

    One network scatters round the limit of `ReluNetwork.ntk` by roughly 4 / sqrt(width) of it. Part
    of that is a scale that all entries share, which `kernel_correlations` leaves out.

    Memory: the Jacobian of two groups of `points_at_once` points, that is
    2 * points_at_once * outputs * parameters numbers.
    """
    symmetric = y is None
    y = x if y is None else y
    kernel = x.new_zeros(len(x), len(y))
    for rows in _slices(len(x), points_at_once):
        left = _jacobian_by_parameter(network, x[rows])
        for columns in _slices(len(y), points_at_once):
            if symmetric and columns.start < rows.start:
                kernel[rows, columns] = kernel[columns, rows].T
                continue
            same = symmetric and columns == rows
            right = left if same else _jacobian_by_parameter(network, y[columns])
            kernel[rows, columns] = _inner_products(left, right)
    return kernel


def _jacobian_by_parameter(network: nn.Module, inputs: Tensor) -> list[Tensor]:
    trained = {k: p.detach() for k, p in network.named_parameters() if p.requires_grad}
    fixed = {k: p.detach() for k, p in network.named_parameters() if not p.requires_grad}
    fixed |= {k: b.detach() for k, b in network.named_buffers()}

    def outputs(parameters: dict[str, Tensor], point: Tensor) -> Tensor:
        return functional_call(network, (parameters, fixed), (point[None],))[0]

    jacobian = vmap(jacrev(outputs), in_dims=(None, 0))(trained, inputs)
    return [part.flatten(2) for part in jacobian.values()]


def _inner_products(left: list[Tensor], right: list[Tensor]) -> Tensor:
    """Sum over parameters, mean over outputs."""
    outputs = left[0].shape[1]
    pairs = zip(left, right, strict=True)
    return sum(a.flatten(1) @ b.flatten(1).T for a, b in pairs) / outputs


def _slices(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
