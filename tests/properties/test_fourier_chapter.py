"""What the tasks of the Fourier chapter rely on: splits, turns, lattices, theory, departures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from nir.data.generated import generate
from nir.data.generated_signals import read_signals
from nir.errors import InputError
from nir.grids import Lattice
from nir.metrics.curves import deviation_of_start, mean_log_ratio
from nir.metrics.occupancy import iou_points
from nir.operators.radon import RadonTransform, equal_angles
from nir.random import generator_for
from nir.recipes.first_layer import ChosenBandwidthRecipe
from nir.recipes.inverse_rendering import InverseRenderingRecipe
from nir.recipes.kernel import KernelRecipe
from nir.recipes.reconstruction import CtRecipe
from nir.recipes.signals import SignalsRecipe
from nir.tasks.chosen_bandwidth import choose_bandwidth
from nir.tasks.first_layer import departure_from_toeplitz
from nir.tasks.inverse_rendering import mapping_from, rotation_from
from nir.tasks.kernel import build as build_kernel
from nir.tasks.reconstruction import ReconstructionTask
from nir.tasks.signals import build as build_signals
from nir.tasks.signals import departures_from_common_curve, interleaved

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def signals_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("signals")
    for name in ("power_law_10", "band_limited", "plane_anisotropic"):
        generate(name, folder / f"{name}.npy")
    return folder


# ---- signals ------------------------------------------------------------------------------------


def test_generated_signals_are_functions_of_their_names(signals_folder, tmp_path):
    generate("power_law_10", tmp_path / "again.npy")
    again = (tmp_path / "again.npy").read_bytes()
    assert again == (signals_folder / "power_law_10.npy").read_bytes()


def test_signals_that_are_not_finite_numbers_are_refused(tmp_path):
    for values in (np.full((2, 8), np.inf), np.zeros(8), np.array([["a", "b"]])):
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(InputError, match="signals"):
            read_signals(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(2, 16), (2, 16, 16)])
def test_tested_points_lie_halfway_between_the_trained_ones(shape):
    signals = torch.randn(shape, generator=generator())
    trained, tested = interleaved(signals, 4)
    assert torch.equal(
        tested.coordinates - trained.coordinates, torch.full_like(tested.coordinates, 1 / 8)
    )
    index = (tested.coordinates * 16).round().long()
    read = signals[(slice(None), *index.unbind(-1))]
    torch.testing.assert_close(tested.values[..., 0], read)


def test_members_see_the_signal_that_their_index_says(signals_folder):
    recipe = SignalsRecipe(scales=2, signals=3, trained_samples=32, width=8, dense_frequencies=4)
    task = build_signals(
        recipe, signals_folder / "power_law_10.npy", device=CPU, generator=generator()
    )
    batch = task.batch(0, generator())
    predicted = task.field["random"].evaluate(task.encoded["random"][0])
    of_members = task._for_members(batch, predicted).reshape(*task._shape(), 32, 1)
    assert all(torch.equal(of_members[f, s], batch) for f in range(4) for s in range(2))
    assert set(task.losses(batch)) == {"random", "dense"}


def test_stretched_frequencies_keep_the_root_mean_square(signals_folder):
    recipe = SignalsRecipe(
        families=("gaussian",),
        stretched_aspect=4,
        scales=2,
        signals=1,
        trained_samples=8,
        frequencies=4000,
        width=4,
    )
    task = build_signals(
        recipe, signals_folder / "plane_anisotropic.npy", device=CPU, generator=generator()
    )
    plain, stretched = task.bandwidths[:, :, 0]
    torch.testing.assert_close(stretched, plain, rtol=0.05, atol=0)
    waves = task.field["random"].wave_vectors[-1]
    ratio = waves[:, 1].std() / waves[:, 0].std()
    assert ratio.item() == pytest.approx(4, rel=0.1)


def test_families_on_one_curve_do_not_depart_from_it():
    places = torch.linspace(-1, 2, 9).repeat(3, 1).double()
    heights = 2 * places + 1
    departures = departures_from_common_curve(places, heights, 3)
    torch.testing.assert_close(departures, torch.zeros_like(departures))
    heights[2] += 0.5
    assert departures_from_common_curve(places, heights, 2)[2].mean().item() == pytest.approx(0.5)


# ---- theory -------------------------------------------------------------------------------------


def test_predicted_curves_begin_where_the_network_does_and_follow_gradient_descent(signals_folder):
    recipe = KernelRecipe(steps=60, width=256, learning_rate=4e-5, log_every=20, linear_maps=3)
    task = build_kernel(
        recipe, signals_folder / "band_limited.npy", device=CPU, generator=generator()
    )
    from nir.kernels import empirical_ntk

    points = task.trained.coordinates
    theory = task._predicted(empirical_ntk(task.initial_field, points).detach().double())
    losses = []
    descent = torch.optim.SGD(task.field.parameters(), lr=recipe.learning_rate)
    for _ in range(61):
        loss = task.losses(task.batch(0, generator()))["value"]
        losses.append(loss.item())
        descent.zero_grad()
        loss.backward()
        descent.step()
    predicted = theory.losses(task._logged_steps()).numpy()
    np.testing.assert_allclose(predicted[0], losses[0], rtol=1e-5)
    np.testing.assert_allclose(predicted, np.array(losses)[::20], rtol=0.03)
    assert losses[-1] < 0.95 * losses[0]


def test_curves_are_compared_at_the_predicted_steps():
    log = pd.DataFrame({"step": [0, 1, 2], "mse": [4.0, 2.0, 1.0], "other": [0.0, 0.0, 0.0]})
    predicted = pd.DataFrame({"step": [0, 2], "mse": [4.0, 2.0]})
    assert deviation_of_start(log, predicted) == 0.25
    assert mean_log_ratio(log, predicted) == pytest.approx(math.log(2) / 2)
    with pytest.raises(InputError, match="column"):
        deviation_of_start(log.drop(columns="mse"), predicted)
    with pytest.raises(InputError, match="steps"):
        deviation_of_start(log, predicted.assign(step=[0, 3]))


def test_constant_diagonals_are_stationary_and_a_product_is_not():
    lags = (torch.arange(6)[:, None] - torch.arange(6)).abs().float()
    assert departure_from_toeplitz(torch.exp(-lags)) < 1e-6
    x = torch.arange(1.0, 7.0)
    assert departure_from_toeplitz(torch.outer(x, x)) > 0.1


def test_rougher_pictures_get_larger_sigmas_by_every_criterion():
    smooth = torch.linspace(0, 1, 32)[:, None, None] * torch.ones(32, 32, 1)
    smooth = smooth + 0.3 * torch.sin(3 * torch.linspace(0, 1, 32))[None, :, None]
    rough = torch.rand(32, 32, 1, generator=generator())
    for criterion in ("spectrum", "leave_one_out", "hold_out"):
        recipe = ChosenBandwidthRecipe(
            chosen_by=criterion,
            resolution=64,
            bandwidth_resolution=64,
            candidates=4,
            patch=12,
            patches=2,
            width=32,
            features=32,
            highest_candidate=32,
        )
        low, high = choose_bandwidth(recipe, smooth), choose_bandwidth(recipe, rough)
        assert low.sigma < high.sigma, criterion


# ---- reconstructions ----------------------------------------------------------------------------


def test_a_lattice_holding_the_truth_measures_what_the_truth_does():
    truth = torch.rand(12, 12, generator=generator()) * 0.8 + 0.1
    operator = RadonTransform(12, equal_angles(5))
    field = Lattice((12, 12))
    with torch.no_grad():
        field.samples.copy_(torch.logit(truth)[..., None])
    task = ReconstructionTask(CtRecipe(resolution=12, field="grid"), truth, operator, field)
    torch.testing.assert_close(task.reconstruction(), truth)
    loss = task.losses(task.batch(0, generator()))["measurement"].item()
    assert loss == pytest.approx(0, abs=1e-12)


def test_intersection_over_union_counts_points():
    inside = np.array([1.0, 1.0, 0.0, 0.0])
    assert iou_points(np.array([0.9, 0.2, 0.7, 0.1]), inside) == pytest.approx(1 / 3)
    assert iou_points(np.zeros(4), np.zeros(4)) == 1.0


# ---- turns --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "paper", "random"])
def test_scenes_are_turned_by_rotations(kind):
    rotation = rotation_from(kind, generator(3)).double()
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3).double(), atol=1e-6, rtol=0)
    assert torch.linalg.det(rotation).item() == pytest.approx(1)


def test_the_positional_encodings_axes_turn_with_the_scene():
    recipe = InverseRenderingRecipe(encoding="positional", rotation="paper", features=9)
    turned = mapping_from(recipe, generator())
    plain = mapping_from(InverseRenderingRecipe(encoding="positional", features=9), generator())
    points = torch.rand(5, 3, generator=generator(1))
    torch.testing.assert_close(turned(points), plain(points @ turned.rotation.T))
    highest = plain.encoding.wave_vectors.abs().max().item()
    assert highest == pytest.approx(2**8 - 1, rel=1e-5)  # radians per unit: no 2 pi


def test_the_measured_part_of_the_spectrum_does_not_depend_on_the_seed():
    from nir.operators.fourier import scaled_gaussian_mask

    masks = [scaled_gaussian_mask((8, 8, 8), generator=generator_for("mri mask")) for _ in range(2)]
    assert torch.equal(*masks)
