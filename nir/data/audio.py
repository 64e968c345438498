"""Audio: read to one channel of float32, written as WAV.

Convention: samples are [time], full scale is [-1, 1], the rate is in hertz. Files of floats may go
beyond full scale; they are left as they are. libsndfile decodes (WAV, FLAC, OGG, MP3, AIFF).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float, Float32

from nir.errors import InputError
from nir.files import written_whole

_UNKNOWN_LENGTH = 0xFFFFFFFF  # what programs that write to a pipe put in a WAV header


def read_audio(path: Path) -> tuple[Float32[np.ndarray, " time"], int]:
    """Read a sound as float32 samples in one channel, and its rate in hertz.

    Integers of n bits are divided by 2^(n-1). Several channels are averaged. The rate is the
    file's: nothing is resampled. Damaged, truncated and empty files are `InputError`s.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such sound file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; copy or download it again")
    _refuse_truncated_wav(path)
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise InputError(f"{path}: is not a sound that can be read ({error})") from error
    if len(samples) == 0:
        raise InputError(f"{path}: holds no samples; copy or download it again")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: holds samples that are not finite; export it again")
    return samples.mean(axis=1, dtype=np.float32), int(rate)


def write_wav(path: Path, samples: Float[np.ndarray, " time"], *, rate: int) -> None:
    """Write one channel as 16-bit WAV, whole or not at all; beyond full scale is clipped.

    Values are rounded to multiples of 2^-15, so what `read_audio` gave of a 16-bit file comes back
    exactly.
    """
    if not np.isfinite(samples).all():
        raise ValueError("a sound with a sample that is not finite cannot be written")
    levels = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
    with written_whole(Path(path)) as temporary:
        soundfile.write(temporary, levels, rate, subtype="PCM_16", format="WAV")


def _refuse_truncated_wav(path: Path) -> None:
    """Compare chunk sizes with the file: libsndfile reads what is left of a cut WAV in silence."""
    length = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return
        while len(chunk := handle.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            missing = handle.tell() + size - length
            if missing > 0 and size != _UNKNOWN_LENGTH:
                raise InputError(
                    f"{path}: is cut off, {missing:,} bytes are missing; copy it again"
                )
            handle.seek(size + size % 2, 1)  # chunks are padded to even lengths
