"""Fields: functions of coordinates. A field is `network o encoding`, or a grid behind that call."""

from __future__ import annotations

from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir import encodings
from nir.networks.mlp import MLP
from nir.recipes.field import FieldRecipe


class Field(nn.Module):
    """Phi(x) = network(encoding(x)), for coordinates x of any leading shape."""

    def __init__(self, encoding: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.encoding = encoding
        self.network = network

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        """Evaluate the field."""
        return self.network(self.encoding(coordinates))


class FixedPoints:
    """A field's values at points that stay the same from step to step.

    The points are encoded when they are first asked for, after weights have been restored, and
    not again, unless the encoding is trained with the network: behind hundreds of sines a narrow
    network takes less time than they do. Values and gradients are those of `field(coordinates)`.
    """

    def __init__(self, field: nn.Module, coordinates: Float[Tensor, "*batch d"]) -> None:
        self.field = field
        self.coordinates = coordinates
        self._encoded: Tensor | None = None

    def values(self) -> Float[Tensor, "*batch c"]:
        """Evaluate the field as it is now."""
        if not isinstance(self.field, Field) or _is_trained(self.field.encoding):
            return self.field(self.coordinates)
        if self._encoded is None:
            self._encoded = self.field.encoding(self.coordinates)
        return self.field.network(self._encoded)


def _is_trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def encoding_from(
    recipe: FieldRecipe,
    dimensions: int,
    generator: Generator,
    *,
    frequency_scale: float = 1.0,
    samples_per_axis: int = 0,
) -> nn.Module:
    """Build the encoding that a recipe names, for coordinates of `dimensions` components.

    frequency_scale: what the frequencies of gaussian and positional are multiplied by, where a
        signal has fewer samples per unit than the one its bandwidth is meant for.
    samples_per_axis: of the signal; decides the octaves where the recipe leaves them at 0.
    """
    octaves = recipe.octaves or encodings.nyquist_octaves(samples_per_axis)
    match recipe.encoding:
        case "none":
            return encodings.Identity(dimensions)
        case "basic":
            return encodings.basic_features(dimensions)
        case "gaussian":
            return encodings.gaussian_features(
                dimensions,
                count=recipe.features,
                bandwidth=recipe.bandwidth * frequency_scale,
                generator=generator,
            )
        case "positional":
            return encodings.ffn_positional(
                dimensions,
                count=recipe.features,
                log2_bandwidth=recipe.log2_bandwidth,
                frequency_scale=frequency_scale,
            )
        case "siren_positional":
            return encodings.siren_positional(dimensions, octaves=octaves)
        case "nerf":
            return encodings.nerf_encoding(dimensions, octaves=octaves)
        case "nerf_paper":
            return encodings.nerf_paper_encoding(dimensions, octaves=octaves)
        case "radial_basis":
            return encodings.RadialBasis(dimensions, recipe.features, generator=generator)
    raise AssertionError(f"recipe.encoding was not checked: {recipe.encoding}")


def field_from(
    recipe: FieldRecipe,
    dimensions: int,
    channels: int,
    generator: Generator,
    *,
    frequency_scale: float = 1.0,
    samples_per_axis: int = 0,
) -> Field:
    """Build the field of a recipe; all randomness comes from `generator`."""
    encoding = encoding_from(
        recipe,
        dimensions,
        generator,
        frequency_scale=frequency_scale,
        samples_per_axis=samples_per_axis,
    )
    return Field(encoding, network_from(recipe, encoding.features, channels, generator))


def network_from(
    recipe: FieldRecipe,
    inputs: int,
    channels: int,
    generator: Generator,
    *,
    first_omega_0: float | None = None,
) -> MLP:
    """Build the network of a recipe for `inputs` encoded numbers.

    first_omega_0: in the recipe's place, where the encoding is the first layer of sines.
    """
    return MLP(
        inputs,
        channels,
        width=recipe.width,
        hidden_layers=recipe.hidden_layers,
        activation=recipe.activation,
        omega_0=recipe.omega_0,
        first_omega_0=recipe.first_omega_0 if first_omega_0 is None else first_omega_0,
        output_activation=recipe.output_activation,
        initialisation=recipe.initialisation or None,
        generator=generator,
    )
