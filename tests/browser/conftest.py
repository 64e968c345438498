"""What the browser's tests share: a baked scene, served, and a headless browser."""

from __future__ import annotations

import pytest
from plane_scenes import harmonic_basis, random_textures, views

from nir.viewers.browser import browser, why_absent
from nir.viewers.planes.baked import BakedPlanes, BakeSettings, bake
from nir.viewers.planes.folder import write_baked
from nir.viewers.serving import served


def pytest_collection_modifyitems(items):
    """Without a browser these tests say why they did not run."""
    reason = why_absent()
    for item in items:
        if reason and "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def baked() -> BakedPlanes:
    """Two pages of each atlas, so that paging is tested."""
    return bake(random_textures(), harmonic_basis, views(), BakeSettings(largest_page=128))


@pytest.fixture(scope="session")
def address(baked, tmp_path_factory):
    """Where the baked scene is served."""
    folder = tmp_path_factory.mktemp("baked") / "viewer"
    write_baked(baked, folder, name="Synthetic blobs")
    with served(folder) as where:
        yield where


@pytest.fixture(scope="module")
def driver():
    """One browser for the tests of a file."""
    with browser() as running:
        yield running


@pytest.fixture
def page(driver, address):
    """The viewer, loaded and drawn once."""
    driver.get(address)
    driver.execute_async_script("viewer.then(() => requestAnimationFrame(() => arguments[0]()))")
    return driver
