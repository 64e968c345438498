"""Structure from motion: pycolmap in process, from prepared photos to cameras and points.

Stages: SIFT features, matching of pairs (all of them, or neighbours in the order of names when
there are many photos), geometric verification, incremental mapping with one shared camera.

The same photos give the same poses bit by bit: images are registered in the database before
features are extracted (their ids would else follow the threads), every random choice is seeded, and
the mapper runs on one thread (sums of its bundle adjustment depend on the number of threads).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nir.data.photos import PhotoSet

Say = Callable[[str], None]

EXHAUSTIVE_AT_MOST = 100
"""Photos up to which every pair is matched (4950 pairs); more are matched with neighbours."""

NEIGHBOURS = 10
FEW_FEATURES = 200


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """What was found: the largest model, and why photos are not in it (by working name)."""

    model: Any  # pycolmap.Reconstruction, or None when nothing was found
    missing: dict[str, str]
    matching: str


def map_photos(
    photos: PhotoSet,
    folder: Path,
    *,
    seed: int,
    longer_side: int,
    exhaustive_at_most: int = EXHAUSTIVE_AT_MOST,
    threads: int,
    say: Say,
) -> Mapping:
    """Estimate cameras and points of prepared photos, in the scratch folder `folder`.

    longer_side: images are shrunk to this many pixels for features (poses refer to the full size).
    exhaustive_at_most: more photos than this are matched with their neighbours by name alone.
    threads: for features and matching; 0 is all cores. It changes no result.
    """
    import pycolmap

    database = folder / "database.db"
    with _quiet(pycolmap):
        pycolmap.set_random_seed(seed)
        pycolmap.Database.open(database).close()
        pycolmap.import_images(
            database,
            photos.folder,
            camera_mode=pycolmap.CameraMode.SINGLE,
            image_names=list(photos.names),
            options=_reader_options(pycolmap, photos),
        )
        _extract(pycolmap, database, photos, longer_side, threads or -1, say)
        exhaustive = len(photos.names) <= exhaustive_at_most
        matching = _match(
            pycolmap,
            database,
            len(photos.names),
            exhaustive=exhaustive,
            seed=seed,
            threads=threads or -1,
            say=say,
        )
        models = _map(pycolmap, database, photos, folder, seed, say)
    model = max(models, key=lambda found: found.num_reg_images(), default=None)
    missing = _reasons(pycolmap, database, photos, model, models)
    return Mapping(model=model, missing=missing, matching=matching)


def _reader_options(pycolmap: Any, photos: PhotoSet) -> Any:
    """One camera with radial distortion; its focal length from EXIF where the photos state it."""
    options = pycolmap.ImageReaderOptions()
    options.camera_model = "SIMPLE_RADIAL"
    if photos.exif_focal is not None:
        centre = f"{photos.width / 2},{photos.height / 2}"
        options.camera_params = f"{photos.exif_focal},{centre},0"
    return options


def _extract(
    pycolmap: Any, database: Path, photos: PhotoSet, longer_side: int, threads: int, say: Say
) -> None:
    options = pycolmap.FeatureExtractionOptions()
    options.num_threads = threads
    options.max_image_size = longer_side
    options.use_gpu = False
    with _watched("features", database, "keypoints", len(photos.names), "photos", say):
        pycolmap.extract_features(
            database,
            photos.folder,
            image_names=list(photos.names),
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=_reader_options(pycolmap, photos),
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )


def _match(
    pycolmap: Any,
    database: Path,
    count: int,
    *,
    exhaustive: bool,
    seed: int,
    threads: int,
    say: Say,
) -> str:
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    options = pycolmap.FeatureMatchingOptions()
    options.num_threads = threads
    options.use_gpu = False
    shared = {
        "matching_options": options,
        "verification_options": verification,
        "device": pycolmap.Device.cpu,
    }
    if exhaustive:
        pairs = count * (count - 1) // 2
        with _watched("matching all pairs", database, "two_view_geometries", pairs, "pairs", say):
            pycolmap.match_exhaustive(database, **shared)
        return "exhaustive"
    neighbours = pycolmap.SequentialPairingOptions()
    neighbours.overlap = NEIGHBOURS
    pairs = count * NEIGHBOURS * 2  # with the quadratic ones, about
    with _watched("matching neighbours", database, "two_view_geometries", pairs, "pairs", say):
        pycolmap.match_sequential(database, pairing_options=neighbours, **shared)
    return "sequential"


def _map(
    pycolmap: Any, database: Path, photos: PhotoSet, folder: Path, seed: int, say: Say
) -> list[Any]:
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1
    options.mapper.num_threads = 1
    for part in (options, options.mapper, options.triangulation):
        part.random_seed = seed
    options.min_model_size = min(options.min_model_size, max(3, len(photos.names) // 2))
    output = folder / "models"
    output.mkdir()
    started, registered = time.monotonic(), [2]

    def count() -> None:
        registered[0] += 1
        if registered[0] % max(1, len(photos.names) // 5) == 0:
            say(f"mapping: {registered[0]} of {len(photos.names)} photos")

    found = pycolmap.incremental_mapping(
        database, photos.folder, output, options=options, next_image_callback=count
    )
    best = max((model.num_reg_images() for model in found.values()), default=0)
    say(f"mapping: {best} of {len(photos.names)} photos, {time.monotonic() - started:.1f} s")
    return [found[key] for key in sorted(found)]


def _reasons(
    pycolmap: Any, database: Path, photos: PhotoSet, model: Any, models: list[Any]
) -> dict[str, str]:
    """Why photos are not in the model, as far as the database tells."""
    ids = _image_ids(database)
    inside = set() if model is None else {model.image(i).name for i in model.reg_image_ids()}
    others = {
        other.image(i).name: other.num_reg_images()
        for other in models
        if other is not model
        for i in other.reg_image_ids()
    }
    features, partners = _features_and_partners(database)
    reasons = {}
    for name in photos.names:
        if name in inside:
            continue
        found, matched = features.get(ids[name], 0), partners.get(ids[name], 0)
        if found < FEW_FEATURES:
            reasons[name] = f"shows too little detail ({found} features): blurred, dark or plain"
        elif matched == 0:
            reasons[name] = "overlaps with no other photo: take photos between it and the others"
        elif name in others:
            reasons[name] = (
                f"belongs to a second group of {others[name]} photos that is not connected with "
                "the first: take photos between the two"
            )
        else:
            reasons[name] = (
                f"matched with {matched} photos, but in too few points that fit one pose: move in "
                "smaller steps, and let nothing move in the scene"
            )
    return reasons


def _image_ids(database: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT name, image_id FROM images").fetchall())


def _features_and_partners(database: Path) -> tuple[dict[int, int], dict[int, int]]:
    """Numbers of features of each image, and of images that it was matched with (verified)."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        features = dict(connection.execute("SELECT image_id, rows FROM keypoints").fetchall())
        pairs = connection.execute("SELECT pair_id FROM two_view_geometries WHERE rows > 0")
        partners: dict[int, int] = {}
        for (pair,) in pairs.fetchall():
            # COLMAP's key of a pair: 2147483647 times the smaller id, plus the larger.
            for image in divmod(pair, 2147483647):
                partners[image] = partners.get(image, 0) + 1
    return features, partners


@contextlib.contextmanager
def _watched(
    stage: str, database: Path, table: str, total: int, what: str, say: Say, every: float = 5.0
) -> Iterator[None]:
    """Tell every few seconds how many rows a table of the database has, and at the end the time."""
    started, finished = time.monotonic(), threading.Event()

    def watch() -> None:
        while not finished.wait(every):
            with contextlib.suppress(sqlite3.Error):
                say(f"{stage}: {_row_count(database, table)} of {total} {what}")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()
    say(f"{stage}: {total} {what}, {time.monotonic() - started:.1f} s")


def _row_count(database: Path, table: str) -> int:
    address = f"{database.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=1)) as connection:
        return connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


@contextlib.contextmanager
def _quiet(pycolmap: Any) -> Iterator[None]:
    """Keep the library's own log away from the terminal while it runs."""
    before = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.ERROR)
    os.environ.setdefault("GLOG_minloglevel", "2")
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before
