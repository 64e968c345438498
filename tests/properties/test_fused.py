"""The kernel for GPUs draws what PyTorch's operations draw; Triton's interpreter runs it here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from plane_scenes import harmonic_basis, random_textures, views

from nir.viewers.planes.baked import BakeSettings, bake
from nir.viewers.planes.compaction import with_coarser_coefficients
from nir.viewers.planes.folder import write_baked

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from nir.viewers.planes.folder import read_baked
from nir.viewers.planes.rendering import BakedRenderer

baked = read_baked(Path(sys.argv[1]))
pose = baked.views.camera_to_world[1]
for planes in (None, 5):
    one, many = (
        BakedRenderer(baked, device="cpu", fused=fused).render(
            pose, baked.views.intrinsics, planes=planes
        )
        for fused in (True, False)
    )
    assert many.std() > 0.05
    assert (one - many).abs().max() < 1e-4, float((one - many).abs().max())
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize(("largest_page", "shrink"), [(60, 1), (4096, 1), (4096, 4)])
def test_the_kernel_draws_what_pytorch_draws(tmp_path, largest_page, shrink):
    settings = BakeSettings(largest_page=largest_page)
    textures = with_coarser_coefficients(random_textures(), shrink)
    write_baked(
        bake(textures, harmonic_basis, views(), settings),
        tmp_path / "viewer",
        name="Blobs",
    )
    # A process of its own: annotations checked at run time would hide the kernel from Triton.
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "viewer")]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
