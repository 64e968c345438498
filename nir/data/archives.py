"""Archives, unpacked safely: zip, tar (.gz, .xz, .bz2), gzip, single files, arrays of images.

An archive comes from the network and is not trusted. Before anything is written, every entry is
looked at: absolute paths, `..`, links that lead outside, devices, encrypted entries, and more bytes
or files than allowed make the whole archive an `InputError`. Bytes are counted again while they are
written, as a declared size can lie. Links that stay inside are left out.

Words: an *entry* is one file in the archive; a *member* is what the caller wants from it, a file or
folder named by its place inside, found at any depth (archives differ in the folders around it).
"""

from __future__ import annotations

import contextlib
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path, PurePosixPath

from nir.errors import InputError

_CHUNK_BYTES = 1 << 20
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,  # a compression method that zipfile does not know
)


@dataclass(frozen=True)
class Limits:
    """The most that an archive may hold, in bytes once unpacked and in number of files."""

    bytes: int
    files: int


@dataclass(frozen=True)
class _Entry:
    parts: tuple[str, ...]
    size: int
    open: Callable[[], BufferedIOBase]


def unpack(archive: Path, kind: str, members: Mapping[str, Path], limits: Limits) -> None:
    """Unpack `members` of `archive` to the paths they map to.

    `kind` is `file`, `gzip`, `zip` or `tar`; for the first two there is a single member, "". A
    member that is not in the archive is an `InputError`, as is anything hostile or damaged.
    """
    try:
        if kind == "file":
            shutil.copyfile(archive, members[""])
        elif kind == "gzip":
            with gzip.open(archive, "rb") as source:
                _copy(source, members[""], limits.bytes, archive)
        elif kind == "zip":
            with zipfile.ZipFile(archive) as opened:
                _unpack_entries(archive, list(_zip_entries(archive, opened, limits)), members)
        elif kind == "tar":
            with tarfile.open(archive, "r:*") as opened:
                _unpack_entries(archive, list(_tar_entries(archive, opened, limits)), members)
        else:
            raise ValueError(f"unknown kind of archive {kind!r}")
    except _DAMAGED as error:
        raise InputError(
            f"{archive}: not a whole {kind} archive ({error}); remove it, then fetch again"
        ) from error


def unpack_images(archive: Path, arrays: Mapping[str, str], folder: Path, limits: Limits) -> None:
    """Write each image of the stacks in an .npz file as an 8-bit PNG in `folder`.

    `arrays` maps a stack's name to the file names, with `{index}` for the place in it. A stack is
    [images, height, width, 3], of bytes or of whole numbers from 0 to 255; nothing else is taken.
    """
    import numpy as np
    from PIL import Image

    try:
        with zipfile.ZipFile(archive) as opened:
            list(_zip_entries(archive, opened, limits))
        folder.mkdir(parents=True, exist_ok=True)
        with np.load(archive, allow_pickle=False) as stacks:
            for name, pattern in arrays.items():
                if name not in stacks:
                    raise InputError(f"{archive}: holds no array {name!r}, only {stacks.files}")
                stack = stacks[name]
                in_range = stack.ndim == 4 and stack.shape[-1] == 3
                if not in_range or np.any((stack < 0) | (stack > 255) | (stack != stack.round())):
                    raise InputError(f"{archive}: {name!r} is not a stack of 8-bit colour images")
                for index, image in enumerate(stack.astype(np.uint8)):
                    Image.fromarray(image).save(folder / pattern.format(index=index))
    except (*_DAMAGED, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{archive}: not a whole .npz file of arrays ({error})") from error


def _zip_entries(archive: Path, opened: zipfile.ZipFile, limits: Limits) -> Iterator[_Entry]:
    budget = _Budget(archive, limits)
    for info in opened.infolist():
        parts = _safe_parts(archive, info.filename)
        budget.take(info.file_size)
        if info.flag_bits & 1:
            raise InputError(f"{archive}: {info.filename!r} is encrypted; it cannot be unpacked")
        mode = info.external_attr >> 16
        if stat.S_ISLNK(mode):
            # A symbolic link's content is its target; a path longer than this is no path.
            if info.file_size > 4096:
                raise InputError(f"{archive}: {info.filename!r} is a damaged link")
            _refuse_link_outside(archive, parts, opened.read(info).decode("utf-8", "replace"))
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InputError(f"{archive}: {info.filename!r} is a device; it is not unpacked")
        elif not info.is_dir():
            yield _Entry(parts, info.file_size, lambda info=info: opened.open(info))


def _tar_entries(archive: Path, opened: tarfile.TarFile, limits: Limits) -> Iterator[_Entry]:
    budget = _Budget(archive, limits)
    for info in opened:
        parts = _safe_parts(archive, info.name)
        budget.take(info.size)
        if info.issym():
            _refuse_link_outside(archive, parts, info.linkname)
        elif info.islnk():
            _safe_parts(archive, info.linkname)
        elif info.isfile():
            yield _Entry(parts, info.size, lambda info=info: opened.extractfile(info))
        elif not info.isdir():
            raise InputError(f"{archive}: {info.name!r} is a device; it is not unpacked")


class _Budget:
    """Counts what entries claim, so that a bomb is refused before the first byte is written."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive, self.limits = archive, limits
        self.bytes = self.files = 0

    def take(self, size: int) -> None:
        self.bytes += size
        self.files += 1
        if self.bytes > self.limits.bytes or self.files > self.limits.files:
            raise InputError(
                f"{self.archive}: would unpack to more than {self.limits.bytes:,} bytes or "
                f"{self.limits.files:,} files; it is not what the registry describes, remove it"
            )


def _safe_parts(archive: Path, name: str) -> tuple[str, ...]:
    """Split an entry's name, refusing one that leads out of the folder it is unpacked to."""
    path = PurePosixPath(name.replace("\\", "/"))
    drive = path.parts[0].endswith(":") if path.parts else False
    if path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise InputError(
            f"{archive}: {name!r} leads out of the archive's folder; remove the archive"
        )
    return path.parts


def _refuse_link_outside(archive: Path, parts: Sequence[str], target: str) -> None:
    """Refuse a symbolic link whose target, seen from the link's folder, is outside."""
    target = target.replace("\\", "/")
    depth = len(parts) - 1
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if target.startswith("/") or depth < 0:
            raise InputError(
                f"{archive}: {'/'.join(parts)!r} is a link to {target!r}, outside of the archive's "
                "folder; remove the archive"
            )


def _unpack_entries(archive: Path, entries: list[_Entry], members: Mapping[str, Path]) -> None:
    entries = [entry for entry in entries if not _is_clutter(entry.parts)]
    for inside, destination in members.items():
        start = _place_of(archive, entries, PurePosixPath(inside).parts)
        written = set()
        for entry in entries:
            if entry.parts[: len(start)] != start:
                continue
            target = destination.joinpath(*entry.parts[len(start) :])
            if target in written:
                raise InputError(f"{archive}: holds {'/'.join(entry.parts)!r} twice; remove it")
            written.add(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            with entry.open() as source:
                _copy(source, target, entry.size, archive)


def _place_of(archive: Path, entries: list[_Entry], inside: tuple[str, ...]) -> tuple[str, ...]:
    """Return the full place of the member `inside`: the one nearest to the archive's root."""
    places = {
        entry.parts[: depth + len(inside)]
        for entry in entries
        for depth in range(len(entry.parts) - len(inside) + 1)
        if entry.parts[depth : depth + len(inside)] == inside
    }
    if not inside:
        return ()
    if not places:
        raise InputError(f"{archive}: holds no {'/'.join(inside)!r}; it is another archive")
    nearest = min(len(place) for place in places)
    candidates = sorted(place for place in places if len(place) == nearest)
    if len(candidates) > 1:
        names = " and ".join("/".join(place) for place in candidates)
        raise InputError(f"{archive}: {'/'.join(inside)!r} could be {names}")
    return candidates[0]


def _is_clutter(parts: Sequence[str]) -> bool:
    return "__MACOSX" in parts or parts[-1] == ".DS_Store" or parts[-1].startswith("._")


def _copy(source: BufferedIOBase, target: Path, most: int, archive: Path) -> None:
    left = most
    with contextlib.closing(source), target.open("wb") as sink:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise InputError(
                    f"{archive}: {target.name!r} unpacks to more than {most:,} bytes; remove it"
                )
            sink.write(chunk)
