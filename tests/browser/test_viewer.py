"""The viewer as a browser shows it: right pixels, answers to people, clear words, no strangers."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from plane_scenes import IMAGE, harmonic_basis, random_textures, views

from nir.viewers.browser import FLAGS, browser
from nir.viewers.planes.baked import BakeSettings, bake
from nir.viewers.planes.compaction import with_coarser_coefficients
from nir.viewers.planes.folder import PAGE, SCENE, write_baked
from nir.viewers.planes.in_browser import measure_in_browser
from nir.viewers.planes.rendering import BakedRenderer
from nir.viewers.serving import served

DRAW = """
const [pose, planes, basis, done] = arguments;
viewer.then(({renderer, state}) => {
  renderer.draw(pose, planes ?? state.planes, basis ?? state.basis);
  done(Array.from(renderer.pixels()));
});
"""
NOW = """
const done = arguments[0];
viewer.then(({renderer, state}) => requestAnimationFrame(() => {
  renderer.draw(state.camera.pose(), state.planes, state.basis);
  done(Array.from(renderer.pixels()));
}));
"""


def as_image(content: list[int]) -> np.ndarray:
    pixels = np.array(content, dtype=np.uint8).reshape(IMAGE.height, IMAGE.width, 4)
    return pixels[::-1, :, :3] / 255


def shown(page) -> np.ndarray:
    """What the viewer shows at this moment."""
    return as_image(page.execute_async_script(NOW))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2) + 1e-12))


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


@pytest.mark.parametrize("view", [0, 3])
@pytest.mark.parametrize(("planes", "basis"), [(None, None), (5, None), (None, 0), (None, 1)])
def test_the_picture_is_that_of_the_python_renderer(page, baked, view, planes, basis):
    pose = views().camera_to_world[view]
    drawn = as_image(page.execute_async_script(DRAW, pose.ravel().tolist(), planes, basis))
    expected = BakedRenderer(baked, device="cpu").render(
        pose, IMAGE, planes=planes, basis_functions=basis
    )
    assert expected.std() > 0.05
    assert psnr(drawn, expected.numpy()) >= 35


def test_dragging_moves_the_camera_and_home_brings_it_back(page):
    from selenium.webdriver import ActionChains

    before = shown(page)
    canvas = page.find_element("id", "canvas")
    ActionChains(page).drag_and_drop_by_offset(canvas, 150, 60).perform()
    moved = shown(page)
    assert difference(before, moved) > 0.005
    page.find_element("id", "home").click()
    assert difference(before, shown(page)) == 0


@pytest.mark.parametrize("key", ["ARROW_LEFT", "ARROW_UP", "+", "-", "b"])
def test_keys_change_the_picture(page, key):
    from selenium.webdriver import ActionChains, Keys

    before = shown(page)
    ActionChains(page).send_keys(getattr(Keys, key, key) * 3).perform()
    assert difference(before, shown(page)) > 0.002


def test_the_wheel_brings_the_camera_nearer(page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    before = shown(page)
    origin = ScrollOrigin.from_element(page.find_element("id", "canvas"))
    ActionChains(page).scroll_from_origin(origin, 0, -300).perform()
    assert difference(before, shown(page)) > 0.002


def test_two_fingers_bring_the_camera_nearer(page):
    before = shown(page)
    page.execute_script(
        """
        const canvas = document.getElementById("canvas");
        canvas.setPointerCapture = () => {};
        const finger = (kind, id, x) => canvas.dispatchEvent(new PointerEvent(
          kind, {pointerId: id, clientX: x, clientY: 100, bubbles: true}));
        finger("pointerdown", 11, 100); finger("pointerdown", 12, 200);
        finger("pointermove", 11, 50); finger("pointermove", 12, 260);
        finger("pointerup", 11, 50); finger("pointerup", 12, 260);
        """
    )
    assert difference(before, shown(page)) > 0.002


@pytest.mark.parametrize(("slider", "value"), [("planes", 2), ("basis", 0)])
def test_sliders_change_the_picture_and_say_their_value(page, slider, value):
    before = shown(page)
    page.execute_script(
        "const input = document.getElementById(arguments[0]); input.value = arguments[1];"
        "input.dispatchEvent(new Event('input'))",
        slider,
        value,
    )
    assert page.find_element("id", f"{slider}-shown").text == str(value)
    assert difference(before, shown(page)) > 0.002


def test_the_path_moves_and_the_rate_is_told(page):
    page.find_element("id", "play").click()
    first = shown(page)
    page.execute_async_script("setTimeout(arguments[0], 700)")
    assert difference(first, shown(page)) > 0.001
    assert float(page.find_element("id", "rate").text) >= 1
    page.find_element("id", "play").click()
    still = shown(page)
    page.execute_async_script("setTimeout(arguments[0], 200)")
    assert difference(still, shown(page)) == 0


def test_facts_of_the_scene_are_told(page, baked):
    assert page.title == "Synthetic blobs"
    assert page.find_element("id", "plane-count").text == str(len(baked.kept))
    assert page.find_element("id", "basis-count").text == "3"
    assert not page.find_element("id", "message").is_displayed()


def test_controls_have_names_for_those_who_do_not_see(page):
    unnamed = page.execute_script(
        """
        const named = (element) => element.getAttribute("aria-label")
          || element.labels?.length || element.textContent.trim();
        return [...document.querySelectorAll("input, button, canvas")]
          .filter((element) => !named(element)).map((element) => element.id);
        """
    )
    assert unnamed == []


def test_nothing_is_asked_of_strangers_and_nothing_fails(driver, address):
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(address)
    driver.execute_async_script("viewer.then(() => arguments[0]())")
    events = [json.loads(e["message"])["message"] for e in driver.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert any(url.endswith("scene.json") for url in asked)
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    assert [e for e in driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")] == []


def message_at(running, address: str) -> str:
    """What the page says is wrong."""
    running.get(address)
    running.execute_async_script("viewer.then(() => arguments[0]())")
    message = running.find_element("id", "message")
    assert message.is_displayed()
    assert not running.find_element("id", "progress").is_displayed()
    return message.text


def test_a_device_with_small_textures_is_told_what_to_do(driver, address, baked):
    side = max(baked.alpha_pages.shape[1:])
    message = message_at(driver, f"{address}?texture-limit=64")
    assert f"{side} pixels" in message
    assert "--texture-size 64" in message


def test_a_scene_that_asks_for_too_much_is_refused(driver, baked_copy):
    scene = json.loads((baked_copy / SCENE).read_text())
    scene["base"]["width"] = 100_000
    (baked_copy / SCENE).write_text(json.dumps(scene))
    with served(baked_copy) as where:
        assert "100000 pixels" in message_at(driver, where)


@pytest.mark.parametrize(
    ("name", "says"), [("alpha-0.bytes", "damaged"), (SCENE, "version"), ("tiles.bytes", "missing")]
)
def test_damaged_data_is_named(driver, baked_copy, name, says):
    content = (baked_copy / name).read_bytes()
    if says == "missing":
        (baked_copy / name).unlink()
    else:
        (baked_copy / name).write_bytes(content[: len(content) // 2])
    with served(baked_copy) as where:
        message = message_at(driver, where)
    assert says in message
    assert name in message
    driver.get_log("browser")


@pytest.fixture
def baked_copy(baked, tmp_path):
    """A folder of its own, to damage."""
    write_baked(baked, tmp_path / "viewer", name="A copy")
    return tmp_path / "viewer"


def test_without_webgl_the_page_says_so(address):
    flags = [flag for flag in FLAGS if "swiftshader" not in flag]
    off = ("--disable-gpu", "--disable-software-rasterizer", "--disable-3d-apis")
    with browser([*flags, *off]) as running:
        assert "WebGL2 is not available" in message_at(running, address)


def test_opened_from_a_disk_the_page_says_what_to_do(driver, tmp_path):
    shutil.copytree(PAGE, tmp_path / "viewer")
    driver.get((tmp_path / "viewer" / "index.html").as_uri())
    assert "nir view" in driver.find_element("id", "message").text
    driver.get_log("browser")


@pytest.mark.parametrize("shrink", [2, 4])
def test_coarser_coefficients_are_found_where_they_lie(tmp_path, shrink):
    textures = with_coarser_coefficients(random_textures(), shrink)
    coarse = bake(textures, harmonic_basis, views(), BakeSettings(tile=8))
    write_baked(coarse, tmp_path / "viewer", name="Coarse")
    pose = views().camera_to_world[3]
    measured = measure_in_browser(tmp_path / "viewer", [pose], coarse.stack, seconds=0)
    expected = BakedRenderer(coarse, device="cpu").render(pose, IMAGE)
    assert psnr(measured.pictures[0], expected.numpy()) >= 35


def test_a_browser_is_measured_by_its_pictures_and_its_time(baked, baked_copy):
    pose = views().camera_to_world[1]
    measured = measure_in_browser(baked_copy, [pose], baked.stack, seconds=0.2)
    expected = BakedRenderer(baked, device="cpu").render(pose, IMAGE)
    assert psnr(measured.pictures[0], expected.numpy()) >= 35
    assert 0 < measured.seconds_a_frame < 10
    assert measured.is_software
