// The page: load the scene, draw when something changed, say what is wrong.
// Address parameter texture-limit=N: behave as a device that takes no larger textures.

import { Camera } from "./camera.js";
import { connect } from "./controls.js";
import { check, contextOf, Renderer } from "./renderer.js";
import { readDescription, readTextures, SceneError } from "./scene.js";

const parameters = new URLSearchParams(location.search);
const byId = (id) => document.getElementById(id);
const page = {
  canvas: byId("canvas"), planes: byId("planes"), basis: byId("basis"),
  dependence: byId("view-dependence"), play: byId("play"), home: byId("home"),
  planesShown: byId("planes-shown"), basisShown: byId("basis-shown"),
};

async function start() {
  const gl = contextOf(page.canvas);
  const address = new URL("scene.json", location.href);
  const scene = await readDescription(address);
  check(gl, scene, Number(parameters.get("texture-limit") ?? Infinity));
  const bytes = await readTextures(scene, address, (share) => {
    byId("progress").textContent = `Loading … ${Math.round(100 * share)} %`;
  });
  const shaders = {
    vertex: await readText("planes.vert.glsl"), fragment: await readText("planes.frag.glsl"),
  };
  const renderer = new Renderer(gl, scene, bytes, shaders);
  describe(scene);
  const state = { camera: new Camera(scene.views), playing: false };
  const loop = new Loop(renderer, state);
  connect(page, scene, state, () => loop.ask());
  page.canvas.addEventListener("webglcontextlost", () =>
    complain("The graphics device was lost; reload the page."));
  byId("progress").hidden = true;
  loop.ask();
  return { renderer, state, loop };
}

async function readText(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new SceneError(`${name} is missing; bake the run again.`);
  return answer.text();
}

function describe(scene) {
  byId("title").textContent = document.title = scene.name;
  byId("plane-count").textContent = scene.depths.length;
  byId("basis-count").textContent = scene.basis.count;
  byId("size").textContent = `${(scene.texture_bytes / 2 ** 20).toFixed(1)} MB`;
}

/** Draws at most once a refresh of the screen, and only while something moves. */
class Loop {
  constructor(renderer, state) {
    Object.assign(this, { renderer, state, asked: false, last: null, times: [] });
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    const { state, renderer } = this;
    this.asked = false;
    const since = this.last === null ? 0 : Math.min(now - this.last, 100);
    if (state.playing) state.camera.follow(since / 1000);
    renderer.draw(state.camera.pose(), state.planes, state.basis);
    this.count(now);
    if (state.playing) this.ask();
  }

  /** Frames a second over the last second of movement. */
  count(now) {
    if (this.last !== null && now - this.last > 500) this.times = [];
    this.last = now;
    this.times = [...this.times.filter((time) => now - time < 1000), now];
    const span = now - this.times[0];
    if (span > 0) byId("rate").textContent = ((1000 * (this.times.length - 1)) / span).toFixed(0);
  }
}

function complain(text) {
  byId("progress").hidden = true;
  byId("message").hidden = false;
  byId("message").textContent = text;
}

/** For programs: resolves to what draws, or to the message that a person reads. */
window.viewer = start().catch((error) => {
  complain(error instanceof SceneError ? error.message : `The viewer failed: ${error.message}`);
  if (!(error instanceof SceneError)) console.error(error);
  return { message: byId("message").textContent };
});
