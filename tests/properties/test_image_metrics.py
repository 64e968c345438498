"""Image metrics equal their definitions, written out slowly, and never each other's."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from nir.errors import InputError
from nir.metrics import METRICS, metric
from nir.metrics.image import (
    PERFECT_PSNR_DB,
    psnr_8bit,
    psnr_float,
    relative_rmse,
    ssim_skimage_box7_r1,
    ssim_skimage_gauss_r2,
    ssim_tf,
)
from nir.metrics.perceptual import (
    ALEXNET,
    VGG16,
    Backbone,
    load_distance,
    lpips_alex,
    lpips_vgg,
    tower_of,
)

RNG = np.random.default_rng(0)
SSIM = [ssim_tf, ssim_skimage_gauss_r2, ssim_skimage_box7_r1]
BACKBONES = {"vgg": (VGG16, lpips_vgg), "alex": (ALEXNET, lpips_alex)}


def smooth_image(height: int = 24, width: int = 20, channels: int = 3) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width] / 10
    layers = [0.5 + 0.4 * np.sin(rows * (c + 1)) * np.cos(columns) for c in range(channels)]
    return np.stack(layers, axis=-1)


IMAGE = smooth_image()
NOISY = np.clip(IMAGE + RNG.normal(0, 0.05, IMAGE.shape), 0, 1)


@given(st.floats(1e-4, 0.5))
def test_psnr_of_a_constant_error_is_its_level_in_decibels(error):
    reference = np.full((4, 5, 3), 0.5)
    assert psnr_float(reference - error, reference) == pytest.approx(-20 * math.log10(error))


def test_psnr_equals_scikit_image():
    expected = peak_signal_noise_ratio(IMAGE, NOISY, data_range=1.0)
    assert psnr_float(NOISY, IMAGE) == pytest.approx(expected, abs=1e-9)


def test_psnr_is_finite_for_equal_images():
    assert psnr_float(IMAGE, IMAGE) == psnr_8bit(IMAGE, IMAGE) == PERFECT_PSNR_DB


def test_psnr_clips_what_no_screen_can_show():
    reference = np.ones((4, 4, 3))
    assert psnr_float(reference * 1.7, reference) == PERFECT_PSNR_DB
    assert psnr_8bit(reference * 1.7, reference) == PERFECT_PSNR_DB


def test_eight_bits_are_rounded_not_cut():
    level = np.full((4, 4, 1), 100 / 255)
    assert psnr_8bit(level + 0.49 / 255, level) == PERFECT_PSNR_DB
    assert psnr_8bit(level - 0.49 / 255, level) == PERFECT_PSNR_DB
    one_level = -20 * math.log10(1 / 255)
    assert psnr_8bit(level + 0.51 / 255, level) == pytest.approx(one_level)


def test_eight_bits_equal_the_number_of_pictures_saved_as_png():
    saved = [np.round(image * 255).astype(np.uint8) for image in (NOISY, IMAGE)]
    expected = peak_signal_noise_ratio(saved[1], saved[0], data_range=255)
    assert psnr_8bit(NOISY, IMAGE) == pytest.approx(expected, abs=1e-9)


def test_single_precision_images_are_compared_in_double():
    expected = psnr_float(NOISY, IMAGE)
    single = psnr_float(NOISY.astype(np.float32), IMAGE.astype(np.float32))
    assert single == pytest.approx(expected, abs=1e-4)


def test_relative_error_is_one_for_zero_and_zero_for_the_truth():
    assert relative_rmse(np.zeros_like(IMAGE), IMAGE) == pytest.approx(1)
    assert relative_rmse(IMAGE, IMAGE) == 0
    assert relative_rmse(2 * IMAGE, IMAGE) == pytest.approx(1)
    assert relative_rmse(3 * NOISY, 3 * IMAGE) == pytest.approx(relative_rmse(NOISY, IMAGE))


def windowed_ssim(
    x: np.ndarray, y: np.ndarray, window: np.ndarray, data_range: float, *, unbiased: bool
) -> float:
    """SSIM written out: one window after the other, only where it fits."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    size = len(window)
    correction = window.size / (window.size - 1) if unbiased else 1.0
    values = []
    for channel in range(x.shape[-1]):
        for i in range(x.shape[0] - size + 1):
            for j in range(x.shape[1] - size + 1):
                a = x[i : i + size, j : j + size, channel]
                b = y[i : i + size, j : j + size, channel]
                ma, mb = (window * a).sum(), (window * b).sum()
                va = correction * ((window * a * a).sum() - ma**2)
                vb = correction * ((window * b * b).sum() - mb**2)
                vab = correction * ((window * a * b).sum() - ma * mb)
                values.append(
                    (2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
                )
    return float(np.mean(values))


def gaussian_window() -> np.ndarray:
    axis = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(axis, axis)
    return window / window.sum()


def test_ssim_tf_equals_its_definition():
    expected = windowed_ssim(NOISY, IMAGE, gaussian_window(), 1.0, unbiased=False)
    assert ssim_tf(NOISY, IMAGE) == pytest.approx(expected, abs=1e-10)


def test_ssim_box_equals_its_definition():
    window = np.full((7, 7), 1 / 49)
    expected = windowed_ssim(NOISY, IMAGE, window, 1.0, unbiased=True)
    assert ssim_skimage_box7_r1(NOISY, IMAGE) == pytest.approx(expected, abs=1e-10)


def test_ssim_gauss_equals_its_definition():
    """scikit-image corrects the covariance by the window's number of pixels, Gaussian or not."""
    expected = windowed_ssim(NOISY, IMAGE, gaussian_window(), 2.0, unbiased=True)
    assert ssim_skimage_gauss_r2(NOISY, IMAGE) == pytest.approx(expected, abs=1e-6)


def test_ssim_tf_equals_scikit_image_asked_for_the_same():
    expected = structural_similarity(
        NOISY,
        IMAGE,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
        data_range=1.0,
    )
    assert ssim_tf(NOISY, IMAGE) == pytest.approx(expected, abs=1e-7)


def test_variants_of_ssim_differ():
    values = [function(NOISY, IMAGE) for function in SSIM]
    assert len({round(value, 4) for value in values}) == 3


@pytest.mark.parametrize("function", SSIM)
def test_ssim_of_equal_images_is_one_and_noise_lowers_it(function):
    assert function(IMAGE, IMAGE) == pytest.approx(1)
    noise = RNG.normal(0, 1, IMAGE.shape)
    values = [function(IMAGE + amount * noise, IMAGE) for amount in (0.0, 0.02, 0.08, 0.3)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9


@pytest.mark.parametrize("function", SSIM)
def test_ssim_is_symmetric(function):
    assert function(IMAGE, NOISY) == pytest.approx(function(NOISY, IMAGE))


@pytest.mark.parametrize("function", SSIM)
def test_ssim_takes_grey_images(function):
    grey = IMAGE[..., :1]
    assert function(grey, grey) == pytest.approx(1)


@pytest.mark.parametrize("function", SSIM)
def test_ssim_of_an_image_smaller_than_its_window_is_an_error_for_people(function):
    with pytest.raises(InputError, match="window"):
        function(IMAGE[:5], IMAGE[:5])


def test_every_metric_has_a_function_and_a_unit():
    for name, entry in METRICS.items():
        module, _, function = entry.function.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), name
        assert entry.unit


OF_IMAGES = [
    name
    for name, entry in METRICS.items()
    if entry.function.startswith("nir.metrics.image:") and not entry.needs_weights
]


@pytest.mark.parametrize("name", OF_IMAGES)
def test_metrics_called_by_name_know_better_from_worse(name):
    worse = np.clip(IMAGE + RNG.normal(0, 0.3, IMAGE.shape), 0, 1)
    near, far = metric(name)(NOISY, IMAGE), metric(name)(worse, IMAGE)
    assert (near > far) == metric(name).higher_is_better


def test_an_unknown_metric_is_named_with_the_nearest_known_one():
    with pytest.raises(InputError, match=r"unknown metric 'psnr'; did you mean 'psnr_8bit'"):
        metric("psnr")


# ---- LPIPS ----


@pytest.mark.parametrize(
    ("backbone", "parameters", "convolutions"),
    [(VGG16, 14_714_688, 13), (ALEXNET, 2_469_696, 5)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_towers_have_the_published_numbers_of_parameters(backbone, parameters, convolutions):
    tower = tower_of(backbone)
    assert sum(p.numel() for p in tower.parameters()) == parameters
    assert sum(isinstance(m, torch.nn.Conv2d) for m in tower) == convolutions


def test_towers_name_their_layers_as_the_published_weights_do():
    vgg = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert [k for k in tower_of(VGG16).state_dict() if "weight" in k] == [
        f"{i}.weight" for i in vgg
    ]
    shapes = {k: tuple(v.shape) for k, v in tower_of(ALEXNET).state_dict().items() if "weight" in k}
    assert shapes == {
        "0.weight": (64, 3, 11, 11),
        "3.weight": (192, 64, 5, 5),
        "6.weight": (384, 192, 3, 3),
        "8.weight": (256, 384, 3, 3),
        "10.weight": (256, 256, 3, 3),
    }


@pytest.mark.parametrize("backbone", [VGG16, ALEXNET], ids=lambda b: b.name)
def test_features_are_taken_after_activations(backbone):
    tower = tower_of(backbone)
    assert all(isinstance(tower[tap], torch.nn.ReLU) for tap in backbone.taps)
    assert len(backbone.taps) == 5


def tap_widths(backbone: Backbone) -> list[int]:
    modules = list(tower_of(backbone))
    return [modules[tap - 1].out_channels for tap in backbone.taps]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of the right shapes, made at random: what is computed of them has LPIPS' laws."""
    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(0)
    for backbone, _ in BACKBONES.values():
        tower = {
            f"features.{key}": torch.randn(value.shape, generator=generator)
            / math.sqrt(max(value[0].numel(), 1))
            for key, value in tower_of(backbone).state_dict().items()
        }
        torch.save({**tower, "classifier.6.weight": torch.zeros(2, 2)}, folder / backbone.weights)
        linear = {
            f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
            for i, width in enumerate(tap_widths(backbone))
        }
        torch.save(linear, folder / backbone.linear_weights)
    return folder


LARGE = smooth_image(72, 80)
LARGE_NOISY = np.clip(LARGE + RNG.normal(0, 0.05, LARGE.shape), 0, 1)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_perceptual_distance_is_zero_for_equal_images_alone_and_symmetric(name, weights):
    lpips = BACKBONES[name][1]
    assert lpips(LARGE, LARGE, weights_folder=weights) == 0
    distance = lpips(LARGE_NOISY, LARGE, weights_folder=weights)
    assert distance > 0
    assert lpips(LARGE, LARGE_NOISY, weights_folder=weights) == pytest.approx(distance, rel=1e-5)


def test_more_noise_is_further_away(weights):
    noise = RNG.normal(0, 1, LARGE.shape)
    distances = [
        lpips_alex(LARGE + amount * noise, LARGE, weights_folder=weights)
        for amount in (0.01, 0.05, 0.2)
    ]
    assert distances == sorted(distances)


def test_a_grey_image_is_compared_as_three_equal_channels(weights):
    grey, other = LARGE[..., :1], LARGE_NOISY[..., :1]
    colour = lpips_alex(grey.repeat(3, -1), other.repeat(3, -1), weights_folder=weights)
    assert lpips_alex(grey, other, weights_folder=weights) == pytest.approx(colour, rel=1e-5)


def test_the_distance_equals_its_definition(weights):
    """Zhang et al. 2018, eq. 1: mean over places of weighted squared differences, unit channels."""
    distance = load_distance(ALEXNET, weights)
    x, y = (
        torch.from_numpy(image).float().permute(2, 0, 1)[None] * 2 - 1
        for image in (LARGE, LARGE_NOISY)
    )
    expected, a, b = (
        0.0,
        (x - distance.shift) / distance.scale,
        (y - distance.shift) / distance.scale,
    )
    taps = iter(distance.channel_weights)
    with torch.no_grad():
        for index, module in enumerate(distance.tower):
            a, b = module(a), module(b)
            if index in ALEXNET.taps:
                unit_a, unit_b = (
                    t / (t.square().sum(1, keepdim=True).sqrt() + 1e-10) for t in (a, b)
                )
                expected += ((unit_a - unit_b) ** 2 * next(taps)).sum(1).mean().item()
        assert distance(x, y).item() == pytest.approx(expected, rel=1e-5)


def test_images_are_normalised_as_the_towers_were_trained():
    """torchvision's mean and deviation of [0, 1] images, seen from [-1, 1]."""
    tower = torch.nn.Sequential()
    from nir.metrics.perceptual import PerceptualDistance

    distance = PerceptualDistance(ALEXNET, tower, [])
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(distance.shift.flatten(), 2 * mean - 1, atol=1e-3, rtol=0)
    torch.testing.assert_close(distance.scale.flatten(), 2 * deviation, atol=1e-6, rtol=0)


def test_absent_weights_say_what_to_fetch(tmp_path):
    with pytest.raises(InputError, match=r"absent; run: nir fetch lpips_vgg_backbone lpips_vgg"):
        lpips_vgg(LARGE, LARGE, weights_folder=tmp_path)


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half an archive"])
def test_damaged_weights_are_one_line_that_names_the_file(tmp_path, content):
    (tmp_path / VGG16.weights).write_bytes(content)
    with pytest.raises(InputError) as raised:
        lpips_vgg(LARGE, LARGE, weights_folder=tmp_path)
    assert VGG16.weights in str(raised.value)
    assert "fetch again" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_weights_of_another_network_are_one_line_that_names_the_file(tmp_path, weights):
    (tmp_path / VGG16.weights).write_bytes((weights / ALEXNET.weights).read_bytes())
    (tmp_path / VGG16.linear_weights).write_bytes((weights / VGG16.linear_weights).read_bytes())
    with pytest.raises(InputError) as raised:
        lpips_vgg(LARGE, LARGE, weights_folder=tmp_path)
    assert VGG16.weights in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_weights_named_are_in_the_registry():
    from nir.data.registry import registry

    for backbone, _ in BACKBONES.values():
        for name, file in (
            (f"{backbone.name}_backbone", backbone.weights),
            (backbone.name, backbone.linear_weights),
        ):
            assert registry()[name].path.endswith(file)
