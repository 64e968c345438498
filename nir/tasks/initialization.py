"""Task: how a network starts, layer by layer, and what that does to fitting an image.

The image is fitted as in `nir.tasks.image`. What is predicted beside it belongs to the network as
it was *before* training: the distributions of pre-activations, activations and gradients.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

from nir.fields.coordinates import Field, field_from
from nir.networks.mlp import MLP, SineLayer
from nir.predictions import Predictions
from nir.recipes.initialization import InitializationRecipe
from nir.tasks.image import ImageTask, load_image


def build(
    recipe: InitializationRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> InitializationTask:
    """Build the task; the network's start and the probe's points come from `generator`."""
    image = load_image(recipe, subject)
    field = field_from(recipe, 2, image.shape[-1], generator)
    probe = torch.rand(recipe.probe_points, 2, generator=generator) * 2 - 1
    return InitializationTask(recipe, image.to(device), field.to(device), probe.to(device))


class InitializationTask(ImageTask):
    """Fits an image and tells how the network began."""

    recipe: InitializationRecipe

    def __init__(
        self,
        recipe: InitializationRecipe,
        image: Float[Tensor, "h w c"],
        field: Field,
        probe: Float[Tensor, "points 2"],
    ) -> None:
        super().__init__(recipe, image, field)
        self.initial_field = copy.deepcopy(field)
        self.probe = probe

    def add_predictions(self, predictions: Predictions) -> None:
        """Add histograms and standard deviations of every layer of the initial network."""
        layers = layer_statistics(self.initial_field, self.probe)
        for name, tensors in layers.items():
            deviations = [t.std().item() for t in tensors]
            predictions.array(f"{name}-deviations", torch.tensor(deviations).numpy())
            histograms = [_histogram(t, self.recipe.histogram_bins) for t in tensors]
            predictions.array(f"{name}-histograms", torch.stack(histograms).numpy())
            for depth, deviation in enumerate(deviations):
                predictions.number(f"{name}_deviation", deviation, "1", split=f"layer {depth + 1}")


def layer_statistics(
    field: Field, probe: Float[Tensor, "points 2"]
) -> dict[str, list[Float[Tensor, "points width"]]]:
    """Values at every activated layer of an MLP field, for probing inputs.

    "preactivation": what enters the sine (omega_0 included), which Theorem 1.8 says is N(0, 1);
    "activation": what leaves it, arcsine distributed; "gradient": of the mean output with respect
    to the activations, times points, whose scale should not depend on depth (Figure in 1.5).
    """
    network = field.network
    if not isinstance(network, MLP):
        raise TypeError("layer statistics are those of an MLP")
    x = field.encoding(probe)
    preactivations, activations = [], []
    for layer in network.layers:
        omega_0 = layer.omega_0 if isinstance(layer, SineLayer) else 1.0
        preactivations.append(omega_0 * F.linear(x, layer.weight, layer.bias))
        x = layer(x)
        activations.append(x)
    output = network.last(x).sum()
    gradients = torch.autograd.grad(output, activations)
    return {
        "preactivation": [t.detach() for t in preactivations],
        "activation": [t.detach() for t in activations],
        "gradient": [t.detach() for t in gradients],
    }


def _histogram(values: Tensor, bins: int) -> Float[Tensor, "bins 2"]:
    """Bin centres and densities between the 0.1 and 99.9 percentiles."""
    flat = values.flatten().float().cpu()
    ordered = flat.sort().values
    low = ordered[int(0.001 * (len(flat) - 1))].item()
    high = ordered[int(0.999 * (len(flat) - 1))].item()
    if high <= low:
        high = low + 1e-12
    counts = torch.histc(flat.clamp(low, high), bins=bins, min=low, max=high)
    width = (high - low) / bins
    centres = low + width * (torch.arange(bins) + 0.5)
    return torch.stack([centres, counts / (counts.sum() * width)], dim=1)
