"""An ensemble's members train exactly as each would alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from nir.checkpoints import Checkpoints
from nir.data.signals import draw_frequencies, power_law_signals, rescale
from nir.encodings import FourierFeatures
from nir.ensembles import Ensemble, member_losses
from nir.errors import InputError
from nir.progress import Progress
from nir.recipes.base import Recipe
from nir.tasks.contract import Task
from nir.training import Trainer


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


MEMBERS, SAMPLES = 3, 24
SEEDS = [11, 12, 13]
COORDINATES = torch.arange(SAMPLES)[:, None] / SAMPLES


def wave_vectors(members: int = MEMBERS) -> torch.Tensor:
    drawn = [
        draw_frequencies("gaussian", scale=2.0**-4, count=5, generator=generator(k))
        for k in range(members)
    ]
    return 2 * math.pi * torch.stack(drawn)


def targets() -> torch.Tensor:
    return rescale(power_law_signals(MEMBERS, SAMPLES, alpha=1.0, generator=generator()))[..., None]


def ensemble(members: slice = slice(None), **choices) -> Ensemble:
    choices = {"width": 16, "linear_maps": 3, **choices}
    return Ensemble(seeds=SEEDS[members], wave_vectors=wave_vectors()[members], **choices)


class Fit(Task):
    """An ensemble as the field of a task: each member fits its own signal."""

    def __init__(self, field: Ensemble, values: torch.Tensor) -> None:
        self.field, self.values = field, values

    def batch(self, step: int, generator: torch.Generator) -> torch.Tensor:
        return self.values

    def losses(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"value": member_losses(self.field(COORDINATES), batch).sum()}

    def predict(self, out: Path) -> None:
        raise NotImplementedError


def trained(folder: Path, field: Ensemble, values: torch.Tensor, **choices) -> Ensemble:
    """Train by the one training loop."""
    recipe = Recipe(**{"steps": 60, "learning_rate": 2e-3, **choices})
    trainer = Trainer(
        recipe=recipe,
        seed=0,
        device=torch.device("cpu"),
        checkpoints=Checkpoints(folder),
        progress=Progress("ensemble", recipe.steps, folder),
    )
    trainer.train(Fit(field, values))
    return field


@pytest.mark.parametrize(("optimiser", "rate"), [("adam", 2e-3), ("sgd", 1e-3)])
def test_members_train_as_each_would_alone(tmp_path, optimiser, rate):
    how = {"optimiser": optimiser, "learning_rate": rate}
    between = COORDINATES + 0.5 / SAMPLES
    together = trained(tmp_path / "together", ensemble(), targets(), **how)
    for member in range(MEMBERS):
        own = slice(member, member + 1)
        alone = trained(tmp_path / str(member), ensemble(own), targets()[own], **how)
        with torch.no_grad():
            torch.testing.assert_close(together(between)[own], alone(between), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("optimiser", "rate"), [("Adam", 2e-3), ("SGD", 1e-3)])
def test_a_member_is_an_ordinary_network_with_the_same_start(tmp_path, optimiser, rate):
    whole = ensemble()
    linear = [nn.Linear(i, o) for i, o in ((10, 16), (16, 16), (16, 1))]
    for layer, weight, bias in zip(linear, whole.weights, whole.biases, strict=True):
        layer.weight.data = weight.data[1].T.clone()
        layer.bias.data = bias.data[1, 0].clone()
    alone = nn.Sequential(
        FourierFeatures(wave_vectors()[1]), linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2]
    )
    descent = getattr(torch.optim, optimiser)(alone.parameters(), lr=rate)
    for _ in range(40):
        descent.zero_grad()
        ((alone(COORDINATES) - targets()[1]).square().sum() / 2).backward()
        descent.step()
    how = {"optimiser": optimiser.lower(), "learning_rate": rate, "steps": 40}
    trained(tmp_path, whole, targets(), **how)
    with torch.no_grad():
        torch.testing.assert_close(whole(COORDINATES)[1], alone(COORDINATES), rtol=1e-3, atol=1e-5)


def test_a_members_gradient_knows_nothing_of_the_others():
    whole = ensemble()
    member_losses(whole(COORDINATES), targets())[0].backward()
    for parameter in whole.parameters():
        assert parameter.grad[1:].count_nonzero() == 0
        assert parameter.grad[0].count_nonzero() > 0


def test_the_start_does_not_depend_on_the_grouping():
    whole, last = ensemble(), ensemble(slice(2, 3))
    for a, b in zip(whole.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(a[2:], b)


def test_weights_start_with_variance_one_over_fan_in_and_biases_at_zero():
    large = Ensemble(seeds=range(8), wave_vectors=wave_vectors(8), width=128)
    for weight, bias in zip(large.weights, large.biases, strict=True):
        expected = 1 / math.sqrt(weight.shape[1])
        assert weight.std().item() == pytest.approx(expected, rel=0.1)
        assert bias.count_nonzero() == 0
    assert len(large.weights) == 4


def test_amplitudes_and_members_own_coordinates_enter_the_encoding():
    amplitudes = torch.rand(MEMBERS, 5, generator=generator())
    whole = ensemble(amplitudes=amplitudes)
    own = torch.rand(MEMBERS, 7, 1, generator=generator(1))
    encoded = whole.encode(own)
    for member in range(MEMBERS):
        encoding = FourierFeatures(wave_vectors()[member], amplitudes=amplitudes[member])
        torch.testing.assert_close(encoded[member], encoding(own[member]))


def test_without_frequencies_members_see_the_coordinates():
    plain = Ensemble(seeds=SEEDS, wave_vectors=None, dimensions=2, outputs=3, width=8)
    coordinates = torch.rand(6, 2, generator=generator())
    assert plain(coordinates).shape == (MEMBERS, 6, 3)
    torch.testing.assert_close(plain.encode(coordinates)[1], coordinates)


def test_training_lowers_every_members_error(tmp_path):
    whole = ensemble()
    before = member_losses(whole(COORDINATES), targets()).detach()
    trained(tmp_path, whole, targets(), steps=200)
    after = member_losses(whole(COORDINATES), targets()).detach()
    assert (after < 0.5 * before).all()


def test_losses_differ_by_their_normalisation():
    predictions, target = torch.ones(2, 4, 1), torch.zeros(2, 4, 1)
    values = [member_losses(predictions, target, k).tolist() for k in ("half_sum", "half_mean")]
    assert values == [[2.0, 2.0], [0.5, 0.5]]
    assert member_losses(predictions, target, "mean").tolist() == [1.0, 1.0]


def test_uneven_members_are_refused():
    with pytest.raises(InputError, match="give one each"):
        Ensemble(seeds=[1], wave_vectors=wave_vectors())
