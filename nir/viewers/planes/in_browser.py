"""Baked planes in a headless browser: its pictures and its seconds a frame."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from nir.errors import InputError
from nir.operators.planes import PlaneStack
from nir.viewers.browser import browser
from nir.viewers.serving import served

MEASURE = """
const [poses, milliseconds, done] = arguments;
viewer.then(({ renderer, state, message }) => {
  if (message) return done({ message });
  const { gl } = renderer;
  const draw = (pose) => {
    renderer.draw(pose, state.planes, state.basis);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits for the frame
  };
  const pictures = poses.map((pose) => { draw(pose); return renderer.canvas.toDataURL(); });
  const began = performance.now();
  let frames = 0;
  while (!frames || performance.now() - began < milliseconds) draw(poses[frames++ % poses.length]);
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  done({
    pictures, seconds: (performance.now() - began) / 1000 / frames,
    renderer: info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : gl.getParameter(gl.RENDERER),
  });
});
"""


@dataclass(frozen=True)
class BrowserMeasurement:
    """What a browser drew and how fast; `renderer` is what it calls its graphics device."""

    pictures: list[Float[np.ndarray, "height width 3"]]
    seconds_a_frame: float
    renderer: str

    @property
    def is_software(self) -> bool:
        """Whether the processor drew, for want of a graphics device."""
        return any(name in self.renderer.lower() for name in ("swiftshader", "llvmpipe"))


def measure_in_browser(
    folder: Path,
    poses: Sequence[Float[np.ndarray, "4 4"]],
    stack: PlaneStack,
    *,
    seconds: float,
) -> BrowserMeasurement:
    """Draw camera-to-world poses of the world in which `stack` stands, then time frames."""
    inside = [(stack.world_to_camera @ pose).ravel().tolist() for pose in poses]
    with served(folder) as address, browser() as running:
        running.set_script_timeout(60 + 4 * seconds)
        running.get(address)
        found = running.execute_async_script(MEASURE, inside, 1000 * seconds)
    if "message" in found:
        raise InputError(f"{folder}: the browser says: {found['message']}")
    return BrowserMeasurement(
        [_as_image(picture) for picture in found["pictures"]], found["seconds"], found["renderer"]
    )


def _as_image(address: str) -> Float[np.ndarray, "height width 3"]:
    content = base64.b64decode(address.partition(",")[2])
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
