"""Fetching: from a name in the registry to a path on the disk, whole or not at all.

What already lies below the data root is used as it is: not checked, not touched (but for what other
code has generated), so that a root may be read-only and shared. Otherwise a set is read in place
(bundled with scikit-image), computed (generated), downloaded, or asked of the user (manual).

Words: the *data root* is the folder of all data sets; the *workshop* is its hidden folder `.fetch`
with parts of downloads and lock files; a *pin* is the SHA-256 of a download that nobody had
recorded, noted when it is first seen in the caller's lock file, and demanded from then on (trust on
first use).
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nir.data.registry import Dataset, bundled_folder, dataset, registry, siblings
from nir.data.staging import appearing_whole, clear, turn
from nir.errors import InputError, unknown_name
from nir.files import read_json, sha256_of_file, write_json
from nir.fingerprints import fingerprint

_log = logging.getLogger(__name__)

# A tree above this size is summed up by names and sizes: hashing 200 GB at every run helps nobody.
_HASHED_BYTES_AT_MOST = 8 << 30


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How a download is to go: where pins are kept, which mirrors come first, what is shown."""

    lock: Path | None = None
    mirrors: Sequence[str] = ()
    progress: bool = False
    patience: Any = None  # nir.data.transfer.Patience; None is its defaults


def fetch(
    name: str,
    *,
    data_root: Path,
    lock: Path | None = None,
    mirrors: Sequence[str] = (),
    progress: bool = False,
) -> Path:
    """Return where the data set `name` lies, after fetching it if it does not yet.

    mirrors: addresses of folders that hold the registry's files by name, tried before its own
        addresses.
    lock: JSON file of pins, to be committed. None keeps no pins.

    Two processes that fetch the same set take turns, and the second finds the work done. Failure is
    an `InputError` that names every address and what was wrong with it.
    """
    entry = dataset(name)
    together = siblings(entry.parcel)
    options = FetchOptions(lock=lock, mirrors=tuple(mirrors), progress=progress)
    return bring(entry, together=together, data_root=Path(data_root), options=options)


def locate(entry: Dataset, data_root: Path) -> Path | None:
    """Return where a data set lies now: data root, scikit-image, user's cache; None if nowhere."""
    candidates = [Path(data_root) / entry.path]
    if entry.source == "bundled":
        candidates.append(bundled_folder() / Path(entry.path).name)
    if entry.source == "generated":
        candidates.append(_cache() / entry.path)
    return next((path for path in candidates if path.exists()), None)


def bring(
    entry: Dataset, *, together: Sequence[Dataset], data_root: Path, options: FetchOptions
) -> Path:
    """Do what `fetch` does, for a data set that need not be in the registry.

    together: the data sets that the same download holds; those that are absent are unpacked too.
    """
    present = locate(entry, data_root)
    if present is not None and not (entry.source == "generated" and _is_writable(data_root)):
        return present
    if entry.source == "bundled":
        raise InputError(
            f"{entry.name}: scikit-image has no {Path(entry.path).name}; install scikit-image anew"
        )
    if entry.source == "manual":
        raise InputError(
            f"{entry.name}: not found at {data_root / entry.path}; {entry.hint} (licence: "
            f"{entry.licence})"
        )
    try:
        if entry.source == "generated":
            return _generate(entry, data_root)
        return _bring_download(entry, together, data_root, options)
    except OSError as error:
        raise InputError(
            f"{data_root / entry.path}: cannot be written ({error.strerror or error}); "
            "free or choose another folder"
        ) from error


def resolve_subject(subject: str, data_root: Path) -> Path:
    """Return the path of a subject: a name in the registry, or a path to the user's own signal.

    A name that is known but not on the disk yet, an unknown name and a path to nothing are
    `InputError`s. Nothing is fetched.
    """
    if subject in registry():
        entry = registry()[subject]
        found = locate(entry, Path(data_root))
        if found is None:
            raise InputError(
                f"{Path(data_root) / entry.path}: {subject} is not there yet; "
                f"run nir fetch {subject}"
            )
        return found
    path = Path(subject).expanduser()
    if path.exists():
        return path
    if os.sep in subject or path.suffix:
        raise InputError(f"{path}: no such file or folder")
    raise unknown_name("subject", subject, registry())


def receipt(subject: str, *, data_root: Path) -> dict[str, Any]:
    """Describe a subject on the disk: kind, origin, licence, citation and the hash of its content.

    The same bytes give the same receipt, whenever, wherever and from whichever mirror they came: no
    time, no address, no folder of this machine. `path` is relative to the data root, or
    `scikit-image/...` for what ships with it, or the user's path as given.
    """
    path = resolve_subject(subject, data_root)
    facts: dict[str, Any] = {"name": subject, "kind": "", "source": "user", "path": subject}
    if subject in registry():
        entry = registry()[subject]
        keys = ("kind", "source", "path", "parcel", "licence", "citation", "homepage")
        facts |= {key: value for key, value in asdict(entry).items() if key in keys}
        facts["recorded_sha256_of_download"] = entry.sha256
        if entry.source == "bundled":
            facts["path"] = f"scikit-image/{path.name}"
    return facts | content_hash(path)


def content_hash(path: Path) -> dict[str, Any]:
    """Return the SHA-256 of a file or tree, with its files and bytes, and what the hash covers.

    A tree's hash is that of the lines `<sha256 of file>  <relative path>`, sorted by path; above 8
    GiB, of `<size in bytes>  <relative path>`.
    """
    if path.is_file():
        size = path.stat().st_size
        return {"files": 1, "bytes": size, "sha256": sha256_of_file(path), "covers": "bytes"}
    files = sorted(
        (file.relative_to(path).as_posix(), file)
        for file in path.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    )
    sizes = [file.stat().st_size for _, file in files]
    hashed = sum(sizes) <= _HASHED_BYTES_AT_MOST
    tree = hashlib.sha256()
    for (relative, file), size in zip(files, sizes, strict=True):
        tree.update(f"{sha256_of_file(file) if hashed else size}  {relative}\n".encode())
    covers = "names and bytes" if hashed else "names and sizes"
    return {"files": len(files), "bytes": sum(sizes), "sha256": tree.hexdigest(), "covers": covers}


def _generate(entry: Dataset, data_root: Path) -> Path:
    """Make a generated set that is not there, or that other code has made."""
    from nir.data.generated import generate

    root = data_root if _is_writable(data_root) else _cache()
    target, code = root / entry.path, fingerprint("nir.data.generated")
    made_by = _workshop(root) / f"{entry.name}.made-by"
    with turn(_workshop(root) / f"{entry.parcel}.lock", entry.parcel):
        known = made_by.read_text(encoding="ascii") if made_by.is_file() else ""
        if known != code or not target.exists():
            with appearing_whole(target) as staging:
                generate(entry.name, staging)
                clear(target)
            made_by.write_text(code, encoding="ascii")
    return target


def _bring_download(
    entry: Dataset, together: Sequence[Dataset], data_root: Path, options: FetchOptions
) -> Path:
    if not _is_writable(data_root):
        raise InputError(f"{data_root}: cannot be written, and {entry.name} is not in it")
    target = data_root / entry.path
    with turn(_workshop(data_root) / f"{entry.parcel}.lock", entry.parcel):
        if not target.exists():
            for whole in together:
                if whole.name == entry.part_of and (data_root / whole.path).exists():
                    raise InputError(f"{target}: missing from {whole.name}; remove that folder")
            _download(entry, together or [entry], data_root, options)
    if not target.exists():
        raise InputError(f"{target}: {entry.parcel} was fetched, but it is not in it")
    return target


def _download(
    entry: Dataset, units: Sequence[Dataset], data_root: Path, options: FetchOptions
) -> None:
    """Try each address until one gives content that holds; remember why the others did not."""
    from nir.data.transfer import TransferError, transfer

    _require_space(entry, data_root)
    expected = entry.sha256 or _read_pins(options.lock).get(entry.parcel, {}).get("sha256", "")
    archive = _bench(entry, data_root) / entry.file
    failures = []
    for address in _addresses(entry, options.mirrors):
        try:
            transfer(
                address,
                archive,
                sha256=expected,
                patience=options.patience,
                progress=options.progress,
            )
            found = sha256_of_file(archive)
            _unpack(entry, units, archive, data_root)
        except (TransferError, InputError) as error:
            failures.append(f"{address}: {error}")
            archive.unlink(missing_ok=True)
        else:
            shutil.rmtree(archive.parent)
            if not expected:
                _pin(entry, found, options.lock)
            return
    raise InputError(_nothing_came(entry, failures, data_root, options, pinned=expected))


def _addresses(entry: Dataset, mirrors: Sequence[str]) -> Iterator[str]:
    for mirror in mirrors:
        yield f"{mirror.rstrip('/')}/{entry.file}"
    yield from entry.addresses
    yield from entry.mirrors


def _nothing_came(
    entry: Dataset, failures: Sequence[str], data_root: Path, options: FetchOptions, *, pinned: str
) -> str:
    message = f"{entry.name}: could not be fetched [{'; '.join(failures) or 'no address'}]; "
    message += entry.hint or f"put it at {data_root / entry.path} by hand, or name a mirror"
    if pinned and not entry.sha256:
        message += (
            f"; its hash was pinned in {options.lock} (delete the entry if a change is meant)"
        )
    return message


def _unpack(entry: Dataset, units: Sequence[Dataset], archive: Path, data_root: Path) -> None:
    """Unpack what is absent of the parcel, check it, and let each data set appear whole.

    A fault in the data set asked for is raised; one in another leaves that other out.
    """
    for unit in units:
        if (data_root / unit.path).exists():
            continue
        try:
            with appearing_whole(data_root / unit.path) as staging:
                _unpack_one(unit, archive, staging)
        except InputError as error:
            if unit.name in (entry.name, entry.part_of):
                raise
            _log.warning("%s was left out: %s", unit.name, error)


def _unpack_one(unit: Dataset, archive: Path, staging: Path) -> None:
    from nir.data.archives import Limits, unpack, unpack_images
    from nir.data.checks import check_content

    size = archive.stat().st_size
    limits = Limits(
        bytes=unit.unpacked_bytes or 20 * size + (64 << 20),
        files=unit.unpacked_files or 200_000,
    )
    if unit.archive == "npz_images":
        unpack_images(archive, dict(unit.members), staging, limits)
    else:
        places = {inside: staging / below if below else staging for inside, below in unit.members}
        unpack(archive, unit.archive, places, limits)
    check_content(staging, unit.check)


def _workshop(root: Path) -> Path:
    folder = root / ".fetch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _bench(entry: Dataset, root: Path) -> Path:
    """Return the set's own folder of the workshop, cleared of what a killed process left.

    The download and its part stay: they are continued.
    """
    folder = _workshop(root) / entry.parcel
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if not path.name.startswith(entry.file):
            path.unlink()
    return folder


def _cache() -> Path:
    """The user's cache folder, for generated signals when the data root cannot be written."""
    import pooch

    return Path(pooch.os_cache("nir"))


def _is_writable(root: Path) -> bool:
    root = root.absolute()
    existing = next(folder for folder in [root, *root.parents] if folder.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _require_space(entry: Dataset, root: Path) -> None:
    free = shutil.disk_usage(_workshop(root)).free
    if entry.size_bytes > free:
        raise InputError(
            f"{root}: {entry.parcel} needs {entry.size_bytes / 1e9:.1f} GB and only "
            f"{free / 1e9:.1f} GB are free; free or choose another folder"
        )


def _read_pins(lock: Path | None) -> Mapping[str, Mapping[str, str]]:
    if lock is None or not Path(lock).exists():
        return {}
    pins = read_json(lock)
    if not isinstance(pins, dict) or not all(isinstance(pin, dict) for pin in pins.values()):
        raise InputError(f"{lock}: not a file of pinned hashes; remove it so that it is made again")
    return pins


def _pin(entry: Dataset, sha256: str, lock: Path | None) -> None:
    if lock is None:
        return
    lock = Path(lock)
    with turn(lock.with_name(f".{lock.name}.lock"), str(lock)):
        pins = {**_read_pins(lock), entry.parcel: {"file": entry.file, "sha256": sha256}}
        write_json(lock, dict(sorted(pins.items())))
