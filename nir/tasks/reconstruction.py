"""Task: a slice from a few projections (CT), a volume from a part of its spectrum (MRI).

Operator: Radon transform or masked Fourier transform, the same for the ground truth and for the
field, which is sampled on the operator's grid at every step. The explicit baseline is a grid of
free numbers in the network's place.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from nir.data.volumes import as_cube, as_square, read_slice, read_volume
from nir.fields.coordinates import FixedPoints, field_from
from nir.grids import Lattice
from nir.networks.mlp import parameter_count
from nir.operators.fourier import MaskedFourierTransform, scaled_gaussian_mask
from nir.operators.radon import RadonTransform, equal_angles
from nir.predictions import Predictions
from nir.random import generator_for
from nir.recipes.reconstruction import CtRecipe, MriRecipe, ReconstructionRecipe
from nir.tasks.contract import Task

POINTS_PER_CHUNK = 65_536  # bounds the memory of prediction, not its result


def build(
    recipe: ReconstructionRecipe, subject: Path, *, device: torch.device, generator: Generator
) -> ReconstructionTask:
    """Build the task for a slice (CT) or a volume (MRI), brought to the recipe's resolution."""
    side = recipe.resolution
    operator: RadonTransform | MaskedFourierTransform
    if isinstance(recipe, CtRecipe):
        truth = as_square(read_slice(subject), side)
        operator = RadonTransform(side, equal_angles(recipe.angles))
    elif isinstance(recipe, MriRecipe):
        truth = as_cube(read_volume(subject), side)
        # Which coefficients are measured belongs to the experiment, not to the run's seed.
        mask = scaled_gaussian_mask(truth.shape, generator=generator_for("mri mask"))
        operator = MaskedFourierTransform(mask)
    else:
        raise TypeError("a reconstruction is CT or MRI")
    if recipe.field == "grid":
        field: nn.Module = Lattice(truth.shape)
    else:
        field = field_from(recipe, truth.ndim, 1, generator)
    return ReconstructionTask(
        recipe, torch.from_numpy(truth).to(device), operator.to(device), field.to(device)
    )


class ReconstructionTask(Task):
    """Fits a field to measurements of it; what is judged is the field itself."""

    def __init__(
        self,
        recipe: ReconstructionRecipe,
        truth: Float[Tensor, "*grid"],
        operator: RadonTransform | MaskedFourierTransform,
        field: nn.Module,
    ) -> None:
        self.recipe = recipe
        self.truth = truth
        self.operator = operator
        self.field = field
        self.coordinates = operator.coordinates().reshape(-1, truth.ndim)
        if isinstance(operator, RadonTransform) and isinstance(field, Lattice):
            # The Radon operator's coordinates are (x, y); a lattice's axes are rows and columns.
            self.coordinates = self.coordinates.flip(-1)
        self.at_grid = FixedPoints(field, self.coordinates)
        self.measured = operator(truth)

    def batch(self, step: int, generator: Generator) -> Tensor:
        """Return all measurements: both notebooks use full batches."""
        return self.measured

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """1/2 mean of the squared absolute residual, over all measurements."""
        predicted = self.operator(self.at_grid.values().reshape(self.truth.shape))
        return {"measurement": (predicted - batch).abs().square().mean() / 2}

    @torch.no_grad()
    def reconstruction(self) -> Float[Tensor, "*grid"]:
        """The field on the grid, clipped to [0, 1]."""
        parts = [self.field(points) for points in self.coordinates.split(POINTS_PER_CHUNK)]
        return torch.cat(parts).reshape(self.truth.shape).clamp(0, 1)

    def monitor(self) -> dict[str, float]:
        """Mean squared error of the reconstruction, which training never sees."""
        error = self.reconstruction() - self.truth
        return {"mse_reconstruction": error.square().mean().item()}

    def protocol(self) -> str:
        """Which measurements of which grid."""
        side = self.recipe.resolution
        if isinstance(self.recipe, CtRecipe):
            return f"ct-{side}-angles-{self.recipe.angles}"
        return f"mri-{side}-gaussian-mask"

    def predict(self, out: Path) -> None:
        """Write the reconstruction, the truth and what was measured."""
        predictions = Predictions(out, self.protocol())
        predictions.compare(
            "reconstruction",
            self.reconstruction().float().cpu().numpy(),
            self.truth.cpu().numpy(),
            metrics=("psnr_float",),
        )
        predictions.array("measured", self._measurement_picture().cpu().numpy())
        predictions.number("parameters", parameter_count(self.field), "1")
        predictions.write()

    def _measurement_picture(self) -> Tensor:
        """Projections over the angle, or the central plane of the mask."""
        if isinstance(self.operator, RadonTransform):
            return self.measured
        mask = torch.fft.fftshift(self.operator.mask)
        return mask[mask.shape[0] // 2].float()
