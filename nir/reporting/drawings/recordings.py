"""Drawings of recordings: sounds as waves and spectrograms, films as frames."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nir.reporting.drawings.pictures import COLUMN_INCHES
from nir.reporting.results import Results
from nir.reporting.style import colour

DETAIL_SECONDS = 0.03
SHOWN_FRAMES = 4


def sounds(results: Results) -> Figure:
    """Truth and variants in rows: the wave, a detail of it, the error, the spectrogram."""
    runs = list(results.runs(subject=results.subjects[0]))
    truth = results.array(runs[0], "sound-reference")
    rate = int(results.array(runs[0], "rate")[0])
    figure, axes = plt.subplots(
        len(runs) + 1,
        4,
        figsize=(11.5, 1.35 * (len(runs) + 1)),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"width_ratios": [1.4, 1, 1.4, 1.4]},
    )
    for row, run in zip(axes, [None, *runs], strict=True):
        sound = truth if run is None else results.array(run, "sound-prediction")
        shade = "#333333" if run is None else colour(runs.index(run))
        _wave(row[0], sound, rate, shade)
        _detail(row[1], sound, truth, rate, shade)
        _error(row[2], sound - truth, rate, shade, hidden=run is None)
        _spectrogram(row[3], sound, rate)
        says = "ground truth" if run is None else _sound_title(results, run)
        row[0].set_title(says, loc="left", fontsize=9, fontweight="bold")
    for axis, says in zip(axes[0, 1:], ("detail", "error", "spectrogram"), strict=True):
        axis.set_title(says, fontsize=8.5)
    for axis in axes[-1]:
        axis.set_xlabel("seconds")
    return figure


def _sound_title(results: Results, run: dict) -> str:
    return f"{run['label']}: MSE {results.value(run, 'audio_mse'):.1e}"


def _wave(axis: Axes, sound: NDArray, rate: int, shade: str) -> None:
    axis.plot(np.arange(len(sound)) / rate, sound, color=shade, linewidth=0.4)
    axis.set_ylim(-1.1, 1.1)


def _detail(axis: Axes, sound: NDArray, truth: NDArray, rate: int, shade: str) -> None:
    """The loudest moment; the truth lies behind in grey."""
    length = min(max(int(DETAIL_SECONDS * rate), 2), len(sound))
    begin = int(np.clip(np.abs(truth).argmax() - length // 2, 0, len(sound) - length))
    part = slice(begin, begin + length)
    seconds = np.arange(len(sound)) / rate
    axis.plot(seconds[part], truth[part], color="#bbbbbb", linewidth=2.5)
    axis.plot(seconds[part], sound[part], color=shade, linewidth=1)
    axis.set_ylim(-1.1, 1.1)


def _error(axis: Axes, error: NDArray, rate: int, shade: str, *, hidden: bool) -> None:
    if hidden:
        axis.axis("off")
        return
    axis.plot(np.arange(len(error)) / rate, error, color=shade, linewidth=0.4)
    axis.set_ylim(-1.1, 1.1)


def _spectrogram(axis: Axes, sound: NDArray, rate: int) -> None:
    """Power over time and frequency on one scale of decibels for all rows."""
    window = int(min(512, 2 ** np.floor(np.log2(len(sound)))))
    with np.errstate(divide="ignore"):
        axis.specgram(
            sound, NFFT=window, Fs=rate, noverlap=window // 2, vmin=-120, vmax=-30, cmap="magma"
        )
    axis.set_ylabel("Hz")
    axis.grid(visible=False)


def frames(results: Results) -> Figure:
    """Some frames of truth and variants, and every frame's PSNR."""
    runs = list(results.runs(subject=results.subjects[0]))
    truth = results.array(runs[0], "video-reference")
    shown = np.linspace(0, len(truth) - 1, SHOWN_FRAMES).astype(int)
    figure = plt.figure(
        figsize=(COLUMN_INCHES * (len(runs) + 1) + 3.6, SHOWN_FRAMES * COLUMN_INCHES * 0.95),
        layout="constrained",
    )
    grid = figure.add_gridspec(
        SHOWN_FRAMES, len(runs) + 2, width_ratios=[1] * (len(runs) + 1) + [2.0]
    )
    for column, run in enumerate([None, *runs]):
        video = truth if run is None else results.array(run, "video-prediction")
        title = "ground truth" if run is None else _film_title(results, run)
        for row, number in enumerate(shown):
            axis = figure.add_subplot(grid[row, column])
            axis.imshow(np.clip(video[number], 0, 1), interpolation="nearest")
            axis.axis("off")
            axis.set_title("" if row else title, fontsize=8.5)
            if column == 0:
                axis.text(
                    -0.06,
                    0.5,
                    f"frame {number}",
                    transform=axis.transAxes,
                    rotation=90,
                    va="center",
                    ha="right",
                )
    _psnr_of_frames(figure.add_subplot(grid[:, -1]), results, runs, truth)
    return figure


def _film_title(results: Results, run: dict) -> str:
    mean, deviation = (
        results.value(run, metric) for metric in ("psnr_frames_mean", "psnr_frames_deviation")
    )
    return f"{run['label']}\n{mean:.2f} ± {deviation:.2f} dB"


def _psnr_of_frames(axis: Axes, results: Results, runs: list[dict], truth: NDArray) -> None:
    for index, run in enumerate(runs):
        error = (np.clip(results.array(run, "video-prediction"), 0, 1) - truth) ** 2
        psnr = -10 * np.log10(np.maximum(error.mean(axis=(1, 2, 3)), 1e-12))
        axis.plot(psnr, color=colour(index), label=run["label"])
    axis.set_xlabel("frame")
    axis.set_ylabel("PSNR (dB)")
    axis.legend()
