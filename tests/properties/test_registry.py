"""The registry names every data set with what is needed to fetch, check and cite it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import PurePosixPath

import pytest

from nir.data.registry import ARCHIVES, KINDS, SOURCES, bundled_folder, dataset, names_in, registry
from nir.errors import InputError

SCENES = ["chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship"]
SCENES += ["fern", "flower", "fortress", "horns", "leaves", "orchids", "room", "trex"]
SCENES += ["armchair", "cube", "greek", "vase"]
SCENES += ["cd", "crest", "food", "giants", "lab", "pasta", "seasoning", "tools"]
SCANS = ["bunny", "armadillo", "dragon", "buddha", "lucy", "thai_statue"]
ENTRIES = list(registry().values())


def test_every_paper_data_set_is_registered():
    for name in SCENES:
        assert dataset(name).kind == "scene"
    for name in SCANS:
        assert dataset(name).kind == "mesh"
    assert dataset("bach").kind == dataset("counting").kind == "audio"
    assert dataset("cat_video").kind == "video"
    assert dataset("atlas_mri").kind == "volume"
    assert {dataset(f"natural_{i:02d}").kind for i in range(16)} == {"image"}
    assert {dataset(name).kind for name in ("shapenet", "modelnet10")} == {"shapes"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_is_complete_and_safe(entry):
    assert entry.kind in KINDS
    assert entry.source in SOURCES
    assert entry.archive in ARCHIVES
    path = PurePosixPath(entry.path)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert "{" not in entry.path
    assert entry.licence
    assert re.fullmatch(r"([0-9a-f]{64})?", entry.sha256)
    assert bool(entry.sha256) == bool(entry.sha256_from)
    if entry.source == "manual":
        assert "http" in entry.hint
    if entry.source == "download" and not entry.part_of:
        assert entry.addresses
        assert all(address.startswith("http") for address in entry.addresses + entry.mirrors)
        assert "?" not in entry.file
        assert entry.sha256 or entry.check or entry.path.endswith(".mp4")
        assert entry.citation
        assert entry.homepage


def test_no_two_entries_share_a_path():
    paths = [entry.path for entry in ENTRIES]
    assert len(set(paths)) == len(paths)


def test_bundled_images_lie_in_the_installed_scikit_image():
    bundled = [entry for entry in ENTRIES if entry.source == "bundled"]
    assert len(bundled) >= 20
    for entry in bundled:
        assert (bundled_folder() / PurePosixPath(entry.path).name).is_file()


def test_a_subject_adds_its_own_check_to_its_sets_check():
    fern = dataset("fern").check
    assert fern["array_shape"] == {"poses_bounds.npy": [20, 17]}
    assert fern["image_size"]["images_4/*"] == [1008, 756]


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(InputError, match="unknown data set 'legos'; did you mean 'lego'"):
        dataset("legos")


def test_a_set_stands_for_all_its_subjects():
    assert names_in("nerf_synthetic") == tuple(SCENES[:8])
    assert names_in("lego") == ("lego",)
    with pytest.raises(InputError, match="did you mean 'nerf_synthetic'"):
        names_in("nerf_synthetics")


def test_a_workflow_reads_the_registry_without_numpy_or_torch():
    code = (
        "import sys; from nir.data.registry import registry; registry();"
        "print({'numpy', 'torch', 'skimage'} & set(sys.modules))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "set()"
