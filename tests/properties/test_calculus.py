"""Derivatives by the coordinates: the laws of calculus, and Taylor mode against reverse mode."""

from __future__ import annotations

import itertools
import math
import operator

import pytest
import torch
from torch.nn import functional as F

from nir import encodings
from nir.networks.mlp import MLP
from nir.operators.calculus import (
    in_chunks,
    losses_in_chunks,
    value_and_gradient,
    value_gradient_and_hessian,
    value_gradient_and_laplacian,
    value_gradient_and_second_derivatives,
)
from nir.operators.elementwise import ELEMENTWISE
from nir.operators.jets import MissingRuleError
from nir.operators.sweeps import Form, apply_to_affine, apply_to_stack, linear_on_stack

ALL = (
    value_and_gradient,
    value_gradient_and_laplacian,
    value_gradient_and_second_derivatives,
    value_gradient_and_hessian,
)
MODES = ("taylor", "autograd")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def points(count, d, dtype=torch.float64, seed=1):
    return torch.rand(count, d, generator=generator(seed), dtype=dtype) * 2 - 1


def relative_error(a, b):
    """Largest deviation, relative to the largest number where there is one."""
    scale = b.detach().abs().max()
    return float((a - b).detach().abs().max() / (scale if scale > 0 else 1))


def encoding(name, d):
    return {
        "identity": lambda: encodings.Identity(d),
        "gaussian": lambda: encodings.gaussian_features(
            d, count=24, bandwidth=1.5, generator=generator()
        ),
        "positional": lambda: encodings.nerf_encoding(d, octaves=4),
        "radial": lambda: encodings.RadialBasis(d, 20, generator=generator()),
    }[name]()


def network_field(activation, encoding_name="identity", d=2, channels=1, dtype=torch.float64):
    encode = encoding(encoding_name, d)
    network = MLP(
        encode.features,
        channels,
        width=48,
        hidden_layers=2,
        activation=activation,
        generator=generator(),
    )
    return torch.nn.Sequential(encode, network).to(dtype)


def gradients_by_parameters(field, results):
    """Of a loss in which every result weighs alike."""
    loss = sum((r**2).mean() / (r.detach() ** 2).mean().clamp_min(1e-20) for r in results)
    return torch.autograd.grad(
        loss, list(field.parameters()), allow_unused=True, materialize_grads=True
    )


# ---- the two modes agree ----


@pytest.mark.parametrize("derivatives", ALL)
@pytest.mark.parametrize("encoding_name", ["identity", "gaussian", "positional", "radial"])
@pytest.mark.parametrize("activation", ["sine", "tanh", "softplus", "relu", "elu"])
def test_taylor_equals_reverse_mode_through_encoding_and_network(
    activation, encoding_name, derivatives
):
    field = network_field(activation, encoding_name, channels=2)
    x = points(30, 2)
    taylor, reverse = (derivatives(field, x, mode=mode) for mode in MODES)
    for a, b in zip(taylor, reverse, strict=True):
        assert a.shape == b.shape
        assert relative_error(a, b) < 1e-10
    pairs = zip(
        gradients_by_parameters(field, taylor), gradients_by_parameters(field, reverse), strict=True
    )
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("encoding_name", ["identity", "gaussian", "positional"])
@pytest.mark.parametrize("activation", ["sine", "tanh", "softplus"])
def test_in_single_precision_the_modes_agree_to_five_digits(activation, encoding_name, d):
    field = network_field(activation, encoding_name, d=d, dtype=torch.float32)
    x = points(100, d, torch.float32)
    for derivatives in ALL:
        results = (derivatives(field, x, mode=mode) for mode in MODES)
        for a, b in zip(*results, strict=True):
            assert relative_error(a, b) < 1e-5


CENTRES = points(7, 3, seed=5)
MIX = points(4, 3, seed=6)
FIELDS = {
    "polynomial": lambda x: x**3 - 2 * x**2 + 1,
    "rational": lambda x: (1 + x) / (2 + x * x),
    "quotients": lambda x: (1 / (x + 3)) / 2 - x / torch.full_like(MIX[0], 3.0),
    "roots": lambda x: torch.sqrt(x + 2) + (x + 2) ** -0.5 + torch.rsqrt(x + 3),
    "exponentials": lambda x: torch.exp(-(x**2)) + torch.log(x + 2),
    "kinks": lambda x: x.abs() * x.relu() + F.leaky_relu(x, 0.1) * x,
    "bounded": lambda x: x.clamp(-0.5, 0.5) * x + torch.maximum(x, x * x) + torch.minimum(x, -x),
    "chosen": lambda x: torch.where(x > 0, x.sin(), 0.5) + torch.where(x > 0.2, 0.1, x.cos()),
    "choosing": lambda x: torch.cat([x[..., :1] * x[..., 1:2], x[..., 2:], x], dim=-1),
    "picking": lambda x: x[..., [2, 0, 0, 1]] * x[:, 1, None],
    "halves": lambda x: torch.cat([p.sin() * q for p, q in [x.split([1, 2], dim=-1)]], -1),
    "unbound": lambda x: torch.stack([a * b for a, b in itertools.pairwise(x.unbind(-1))], -1),
    "summed": lambda x: (x.sin() * x).sum(-1, keepdim=True) + x.mean(dim=-1, keepdim=True),
    "bells": lambda x: torch.exp(-((x[:, None, :] - CENTRES) ** 2).sum(-1)),
    "distance": lambda x: (x - CENTRES[0]).norm(dim=-1, keepdim=True) - 0.5,
    "distance_too": lambda x: torch.linalg.vector_norm(x + 2, dim=-1, keepdim=True),
    "octaves": lambda x: (x[..., None] * MIX[:, 0]).flatten(-2).cos(),
    "reordered": lambda x: (x.unsqueeze(-1) * MIX[:, 1]).transpose(-1, -2).reshape(-1, 12).sin(),
    "repeated": lambda x: x.repeat(1, 2) * x[..., :1].expand(-1, 6),
    "mixed": lambda x: (x @ MIX.T).tanh() @ MIX,
    "mixed_and_shifted": lambda x: torch.addmm(MIX[:, 0], x.sigmoid(), MIX.T),
    "mixed_from_the_left": lambda x: (MIX @ x.sin().unsqueeze(-1)).squeeze(-1),
    "contracted": lambda x: torch.einsum("...i,oi->...o", x.sin(), MIX),
    "one_channel": lambda x: x[..., 0].sin()[..., None] * x[..., 1:],
    "with_a_constant": lambda x: torch.cat([x.cos(), MIX[:1].expand(len(x), -1)], dim=-1),
    "gated": lambda x: F.silu(x) + F.selu(x) + F.elu(x, 0.7) + F.softplus(x, 3.0),
    "sum_of_different_kinds": lambda x: x.sin() + x - F.linear(x, MIX[:3]) + x[..., :1].relu(),
}


@pytest.mark.parametrize("name", FIELDS)
def test_taylor_equals_reverse_mode_for_any_torch_code(name):
    x = points(20, 3)
    for derivatives in ALL:
        results = (derivatives(FIELDS[name], x, mode=mode) for mode in MODES)
        for a, b in zip(*results, strict=True):
            assert a.shape == b.shape
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (1, 3), (2, 5, 3)])
def test_coordinates_may_have_any_leading_shape(shape):
    field = network_field("sine", "positional", d=3, channels=2)
    x = points(math.prod(shape[:-1]), 3).reshape(shape)
    value, gradient, hessian = value_gradient_and_hessian(field, x)
    assert value.shape == (*shape[:-1], 2)
    assert gradient.shape == (*shape[:-1], 2, 3)
    assert hessian.shape == (*shape[:-1], 2, 3, 3)
    if len(shape) == 3:
        flat = value_gradient_and_hessian(field, x.reshape(-1, 3))[2]
        torch.testing.assert_close(hessian.reshape(flat.shape), flat)


def test_the_value_is_that_of_the_plain_field():
    field, x = network_field("sine"), points(50, 2)
    torch.testing.assert_close(value_gradient_and_laplacian(field, x)[0], field(x))


def test_blocks_of_points_leave_no_seams(monkeypatch):
    field, x = network_field("sine", "gaussian"), points(101, 2)
    whole = value_gradient_and_hessian(field, x)
    expected = gradients_by_parameters(field, whole)
    monkeypatch.setattr("nir.operators.sweeps.BLOCK_NUMBERS", 7 * 48)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    blocks = value_gradient_and_hessian(field, x)
    for a, b in zip(whole, blocks, strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(expected, gradients_by_parameters(field, blocks), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("mode", MODES)
def test_without_recording_there_is_no_graph(mode):
    field, x = network_field("sine"), points(5, 2)
    with torch.no_grad():
        results = value_gradient_and_hessian(field, x, mode=mode)
    assert not any(r.requires_grad for r in results)
    assert all(r.requires_grad for r in value_gradient_and_hessian(field, x, mode=mode))


@pytest.mark.parametrize("mode", MODES)
def test_results_can_be_differentiated_by_the_coordinates_themselves(mode):
    x = points(6, 1).requires_grad_()
    laplacian = value_gradient_and_laplacian(lambda c: c**4, x, mode=mode)[2]
    (third,) = torch.autograd.grad(laplacian.sum(), x)
    torch.testing.assert_close(third, 24 * x.detach())


@pytest.mark.parametrize("mode", MODES)
def test_a_constant_field_has_no_derivatives(mode):
    x = points(4, 2)
    value, gradient, hessian = value_gradient_and_hessian(
        lambda c: torch.ones(4, 3, dtype=c.dtype), x, mode=mode
    )
    assert value.shape == (4, 3)
    assert not gradient.any()
    assert not hessian.any()
    assert hessian.shape == (4, 3, 2, 2)


def test_a_detached_part_counts_as_constant():
    x = points(4, 2)
    for mode in MODES:
        gradient = value_and_gradient(lambda c: c * c.detach(), x, mode=mode)[1]
        torch.testing.assert_close(gradient, torch.diag_embed(x))


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (torch.erf, "erf"),
        (lambda x: F.softmax(x, dim=-1), "softmax"),
        (lambda x: x.sin_(), "sin_"),
        (lambda x: operator.iadd(x.sin(), x), "add_"),
        (lambda x: x.norm(p=1, dim=-1), "norm"),
        (lambda x: 2**x, "rpow"),
        (lambda x: x @ x.mT, "matmul"),
    ],
)
def test_a_function_without_a_rule_is_named(field, name):
    with pytest.raises(MissingRuleError, match=rf"torch's {name} has no rule"):
        value_gradient_and_laplacian(field, points(3, 2))


def test_weights_must_be_as_many_as_coordinates():
    with pytest.raises(ValueError, match="2 weights for 3 coordinates"):
        value_gradient_and_laplacian(torch.sin, points(3, 3), (1, 1))


# ---- the laws of calculus, for Taylor mode ----


def smooth(seed):
    """A field without symmetries."""
    w = torch.randn(9, 3, generator=generator(seed), dtype=torch.float64)
    v = torch.randn(1, 9, generator=generator(seed + 100), dtype=torch.float64)
    return lambda x: F.linear(torch.sin(F.linear(x, w) + w[:, 0]), v)


def test_derivatives_are_linear():
    f, g, x = smooth(1), smooth(2), points(25, 3)
    for derivatives in ALL:
        both = derivatives(lambda c: 2 * f(c) - 3 * g(c), x, mode="taylor")
        single = zip(
            derivatives(f, x, mode="taylor"), derivatives(g, x, mode="taylor"), strict=True
        )
        for a, (b, c) in zip(both, single, strict=True):
            torch.testing.assert_close(a, 2 * b - 3 * c)


def test_the_laplacian_obeys_the_product_rule():
    f, g, x = smooth(1), smooth(2), points(25, 3)
    a, da, la = value_gradient_and_laplacian(f, x)
    b, db, lb = value_gradient_and_laplacian(g, x)
    _, gradient, laplacian = value_gradient_and_laplacian(lambda c: f(c) * g(c), x)
    torch.testing.assert_close(gradient, a[..., None] * db + b[..., None] * da)
    torch.testing.assert_close(laplacian, a * lb + b * la + 2 * (da * db).sum(-1))


def test_the_laplacian_obeys_the_chain_rule():
    f, x = smooth(1), points(25, 3)
    a, da, la = value_gradient_and_laplacian(f, x)
    laplacian = value_gradient_and_laplacian(lambda c: torch.exp(f(c)), x)[2]
    torch.testing.assert_close(laplacian, a.exp() * (la + (da**2).sum(-1)))


@pytest.mark.parametrize("mode", MODES)
def test_a_plane_wave_is_an_eigenfunction_of_the_laplacian(mode):
    k, x = torch.tensor([[3.0, -1.0, 2.0]], dtype=torch.float64), points(25, 3)
    value, gradient, laplacian = value_gradient_and_laplacian(
        lambda c: torch.sin(F.linear(c, k)), x, mode=mode
    )
    torch.testing.assert_close(laplacian, -(k**2).sum() * value)
    torch.testing.assert_close(gradient[:, 0], torch.cos(x @ k.T) * k)


@pytest.mark.parametrize("mode", MODES)
def test_a_quadratic_form_has_a_constant_hessian(mode):
    a, x = torch.randn(3, 3, generator=generator(), dtype=torch.float64), points(10, 3)
    hessian = value_gradient_and_hessian(
        lambda c: (F.linear(c, a) * c).sum(-1, keepdim=True), x, mode=mode
    )[2]
    torch.testing.assert_close(hessian, (a + a.T).expand_as(hessian))


@pytest.mark.parametrize(
    "harmonic",
    [
        lambda x, y: x * x - y * y,
        lambda x, y: x**3 - 3 * x * y**2,
        lambda x, y: torch.exp(x) * torch.sin(y),
        lambda x, y: torch.log((x - 3) ** 2 + y**2),
    ],
)
def test_harmonic_functions_have_no_laplacian(harmonic):
    laplacian = value_gradient_and_laplacian(
        lambda c: harmonic(c[..., :1], c[..., 1:]), points(25, 2)
    )[2]
    torch.testing.assert_close(laplacian, torch.zeros_like(laplacian), rtol=0, atol=1e-12)


def test_the_laplacian_does_not_change_under_rotation():
    f, x = smooth(1), points(25, 3)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=generator(), dtype=torch.float64))[0]
    rotated = value_gradient_and_laplacian(lambda c: f(F.linear(c, rotation)), x)
    there = value_gradient_and_laplacian(f, x @ rotation.T)
    torch.testing.assert_close(rotated[2], there[2])
    torch.testing.assert_close(rotated[1], there[1] @ rotation)


def test_the_hessian_is_symmetric_and_holds_the_other_second_derivatives():
    field, x = network_field("sine", d=3, channels=2), points(25, 3)
    hessian = value_gradient_and_hessian(field, x)[2]
    torch.testing.assert_close(hessian, hessian.mT)
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(value_gradient_and_second_derivatives(field, x)[2], diagonal)
    torch.testing.assert_close(value_gradient_and_laplacian(field, x)[2], diagonal.sum(-1))


@pytest.mark.parametrize("mode", MODES)
def test_travelling_waves_solve_the_wave_equation(mode):
    c, direction = 1.7, torch.tensor([0.6, 0.8], dtype=torch.float64)

    def wave(txy):
        return torch.exp(-((F.linear(txy[..., 1:], direction[None]) - c * txy[..., :1]) ** 2))

    residual = value_gradient_and_laplacian(wave, points(25, 3), (1, -(c**2), -(c**2)), mode=mode)[
        2
    ]
    torch.testing.assert_close(residual, torch.zeros_like(residual), rtol=0, atol=1e-12)


def test_weights_of_zero_leave_a_coordinate_out():
    field, x = network_field("tanh", d=3), points(25, 3)
    second = value_gradient_and_second_derivatives(field, x)[2]
    spatial = value_gradient_and_laplacian(field, x, (0, 1, 1))[2]
    torch.testing.assert_close(spatial, second[..., 1] + second[..., 2])
    nothing = value_gradient_and_laplacian(field, x, (0, 0, 0))[2]
    assert not nothing.any()


def test_a_complex_exponential_in_two_channels_solves_the_helmholtz_equation():
    k, x = 5.0, points(25, 2)
    axis = torch.tensor([[k, 0.0]], dtype=torch.float64)

    def exponential(c):
        phase = F.linear(c, axis)
        return torch.cat([phase.cos(), phase.sin()], dim=-1)

    value, gradient, laplacian = value_gradient_and_laplacian(exponential, x)
    torch.testing.assert_close(laplacian + k**2 * value, torch.zeros_like(value), rtol=0, atol=1e-9)
    by_i = torch.stack([-value[:, 1], value[:, 0]], dim=-1)
    torch.testing.assert_close(gradient[..., 0], k * by_i)


def test_relu_without_encoding_has_no_second_derivative_and_with_one_it_has():
    x = points(25, 2)
    assert not value_gradient_and_hessian(network_field("relu"), x)[2].any()
    assert value_gradient_and_hessian(network_field("relu", "gaussian"), x)[2].abs().max() > 1


# ---- the hand-written backward passes, by finite differences ----

FORMS = {
    "none": Form(2, 0, ()),
    "weighted": Form(2, 1, ((0, 0, 0, 1.0), (0, 1, 1, -2.5))),
    "diagonal": Form(2, 2, ((0, 0, 0, 1.0), (1, 1, 1, 1.0))),
    "hessian": Form(2, 3, ((0, 0, 0, 1.0), (1, 0, 1, 1.0), (2, 1, 1, 1.0))),
}
ARGUMENTS = {"pow": (3.5,), "leaky_relu": (0.2,), "softplus": (2.0,)}


def made(name):
    return ELEMENTWISE[name](*ARGUMENTS.get(name, ()))


def positive_jet(*shape):
    """Numbers away from zero, where every function is smooth."""
    return (torch.rand(*shape, generator=generator(), dtype=torch.float64) + 0.3).requires_grad_()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_backward_pass_of_a_stacked_jet_is_its_derivative(name, form):
    form = FORMS[form]
    stack = positive_jet(form.first_rows + form.rows, 2, 2)
    assert torch.autograd.gradcheck(lambda s: apply_to_stack(made(name), form, s), stack)


@pytest.mark.parametrize("name", ["sin", "softplus", "relu", "tanh", "exp"])
@pytest.mark.parametrize("form", FORMS)
def test_the_backward_pass_where_the_second_part_is_zero_is_its_derivative(name, form):
    form = FORMS[form]
    assert torch.autograd.gradcheck(
        lambda s: apply_to_stack(made(name), form, s), positive_jet(form.first_rows, 2, 2)
    )
    assert torch.autograd.gradcheck(
        lambda v, g: apply_to_affine(made(name), form, v, g),
        (positive_jet(3, 2), positive_jet(2, 1, 2)),
    )


@pytest.mark.parametrize("name", ["elu", "selu", "silu", "sin", "cos", "sigmoid", "tanh"])
def test_the_backward_pass_below_zero_is_its_derivative(name):
    form = FORMS["weighted"]
    stack = (-positive_jet(4, 2, 2)).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: apply_to_stack(made(name), form, s), stack)


@pytest.mark.parametrize("shape", [(4, 3, 2), (4, 2)])
def test_the_backward_pass_of_a_linear_layer_is_its_derivative(shape):
    stack, weight, bias = positive_jet(*shape), positive_jet(5, 2), positive_jet(5)
    assert torch.autograd.gradcheck(linear_on_stack, (stack, weight, bias))
    assert torch.autograd.gradcheck(lambda s, w: linear_on_stack(s, w, None), (stack, weight))


# ---- a few points at a time ----


def test_predictions_in_chunks_are_those_of_all_points():
    field, x = network_field("sine"), points(23, 2)
    whole = value_gradient_and_hessian(field, x)
    chunked = in_chunks(lambda c: value_gradient_and_hessian(field, c), x, points_per_chunk=5)
    for a, b in zip(whole, chunked, strict=True):
        torch.testing.assert_close(a, b)
        assert not b.requires_grad


@pytest.mark.parametrize("mode", MODES)
def test_losses_in_chunks_have_the_value_and_gradient_of_all_points(mode):
    field, x = network_field("sine"), points(23, 2)
    target = torch.cos(x).sum(-1, keepdim=True)

    def losses(c, t):
        value, _, laplacian = value_gradient_and_laplacian(field, c, mode=mode)
        return {"laplacian": (laplacian - t).square().sum(), "value": value.abs().sum()}

    whole = losses(x, target)
    chunked = losses_in_chunks(losses, x, target, parameters=field.parameters(), points_per_chunk=5)
    assert list(whole) == list(chunked)
    for name in whole:
        torch.testing.assert_close(whole[name], chunked[name])
    expected = torch.autograd.grad(0.5 * sum(whole.values()), list(field.parameters()))
    result = torch.autograd.grad(0.5 * sum(chunked.values()), list(field.parameters()))
    for a, b in zip(expected, result, strict=True):
        torch.testing.assert_close(a, b)


def test_losses_in_chunks_refuse_to_be_weighted_one_by_one():
    slope = torch.tensor(2.0, requires_grad=True)
    losses = losses_in_chunks(
        lambda x: {"a": (slope * x).sum(), "b": (slope * x**2).sum()},
        torch.ones(4),
        parameters=[slope],
        points_per_chunk=3,
    )
    with pytest.raises(ValueError, match="only be differentiated as their sum"):
        (losses["a"] + 2 * losses["b"]).backward()


def test_losses_in_chunks_give_plain_numbers_where_nothing_is_recorded():
    with torch.no_grad():
        losses = losses_in_chunks(
            lambda x: {"a": x.sum()}, torch.ones(4), parameters=[], points_per_chunk=3
        )
    assert losses["a"] == 4


def test_a_chunk_holds_at_least_one_point():
    with pytest.raises(ValueError, match="at least 1"):
        in_chunks(lambda x: (x,), torch.ones(4), points_per_chunk=0)
