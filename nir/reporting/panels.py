"""Panels: pages of their own that a reader plays with, from precomputed pictures; no server.

`PANELS` maps the names that config.yaml uses to functions from an experiment's results to HTML.
A panel is one file: pictures stand in it as data addresses, so that it opens from a disk.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nir.errors import unknown_name
from nir.files import write_result
from nir.reporting.results import Results
from nir.reporting.tables import format_value

MODEL_BYTES_AT_MOST = 16 * 2**20
FOLDER = Path(__file__).resolve().parent / "page"


def write_panel(
    panel: str, plan: dict[str, Any], *, metrics: Path, results: Path, out: Path
) -> None:
    """Write the panel of that name for an experiment."""
    if panel not in PANELS:
        raise unknown_name("panel", panel, PANELS)
    write_result(out, PANELS[panel](Results(plan, metrics, results)))


def bandwidth_sliders(results: Results) -> str:
    """Sliders over sigma for Gaussian and positional encodings, of the first subject."""
    subject = results.subjects[0]
    runs = list(results.runs(subject=subject))
    families = {
        "Gaussian features": ("gaussian", lambda r: r["recipe"]["bandwidth"]),
        "Positional encoding": ("positional", lambda r: 2 ** r["recipe"]["log2_bandwidth"] - 1),
    }
    sliders = []
    for title, (encoding, sigma_of) in families.items():
        own = sorted((r for r in runs if r["recipe"]["encoding"] == encoding), key=sigma_of)
        stops = [_stop(results, run, f"σ = {sigma_of(run):.3g}") for run in own]
        if stops:
            sliders.append({"title": title, "stops": stops, "first": len(stops) // 2})
    still = [
        {"title": run["label"], **_stop(results, run, "")}
        for run in runs
        if run["recipe"]["encoding"] in ("none", "basic")
    ]
    truth = {"title": "ground truth", "picture": _picture(results, runs[0], "reference")}
    return _template("panel_bandwidth.html.jinja").render(
        title=results.plan["title"],
        truth=truth,
        still=still,
        sliders=sliders,
        # "<" cannot end the script early: JSON may write it as an escape.
        data=json.dumps(sliders).replace("<", "\\u003c"),
    )


def turning_models(results: Results) -> str:
    """Models to turn: the GLB files of all runs of one seed, embedded."""
    models, left_out = [], []
    for run in results.runs():
        files = sorted((results.folder / run["place"] / "predictions").glob("*.glb"))
        for file in files:
            label = f"{run['label']}: {file.stem.replace('_', ' ')}"
            if file.stat().st_size > MODEL_BYTES_AT_MOST:
                left_out.append(label)
                continue
            content = base64.b64encode(file.read_bytes()).decode("ascii")
            models.append({"label": label, "content": content})
    return _template("panel_models.html.jinja").render(
        title=results.plan["title"],
        models=models,
        left_out=left_out,
        data=json.dumps([model["content"] for model in models]),
    )


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def _stop(results: Results, run: dict[str, Any], label: str) -> dict[str, str]:
    """One position of a slider: its picture, and how well it fits seen and unseen pixels."""
    seen, unseen = (results.value(run, "psnr_float", split) for split in ("trained", "tested"))
    return {
        "label": label,
        "picture": _picture(results, run, "prediction"),
        "quality": f"{format_value(seen, 'dB')} dB on trained pixels, "
        f"{format_value(unseen, 'dB')} dB between",
    }


def _picture(results: Results, run: dict[str, Any], which: str) -> str:
    """A run's picture as the address of a PNG."""
    return png_address(results.array(run, f"image-{which}"))


def png_address(image: NDArray[np.floating]) -> str:
    """Encode an image [H, W, C] in [0, 1] as a PNG inside an address.

    >>> png_address(np.zeros((1, 1, 3)))[:22]
    'data:image/png;base64,'
    """
    levels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


PANELS: dict[str, Callable[[Results], str]] = {
    "bandwidth_sliders": bandwidth_sliders,
    "turning_models": turning_models,
}
