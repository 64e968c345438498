// What a person does: drag, touch, wheel, keys, sliders, buttons. Changes `state` and asks to draw.

const KEY_STEP = 0.08; // of the reach
const MOVES = {
  ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0],
  "+": [0, 0, 1], "=": [0, 0, 1], "-": [0, 0, -1],
};

// Keys that a focused slider or button needs itself.
const OWN_KEYS = { INPUT: /^(Arrow.*|Home| )$/, BUTTON: /^( |Enter)$/ };

/** Wire the page to `state` = {camera, planes, basis, playing}; `changed()` draws anew. */
export function connect(page, scene, state, changed) {
  const act = (change) => (event) => { change(event); changed(); };
  const controls = { page, scene, state, act };
  pointer(controls);
  keys(controls);
  sliders(controls);
  page.play.addEventListener("click", act(() => play(page, state, !state.playing)));
  page.home.addEventListener("click", act(() => home(page, state)));
  for (const name of ["planes", "basis", "dependence", "play", "home"]) page[name].disabled = false;
}

export function play(page, state, playing) {
  state.playing = playing;
  page.play.setAttribute("aria-pressed", String(playing));
  page.play.textContent = playing ? "Stop" : "Play the path";
}

function home(page, state) {
  play(page, state, false);
  state.camera.home();
}

function move(page, state, ...change) {
  play(page, state, false);
  state.camera.move(...change);
}

function pointer({ page, state, act }) {
  const { canvas } = page;
  const held = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, [event.clientX, event.clientY]);
    canvas.setPointerCapture(event.pointerId);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => held.delete(event.pointerId));
  }
  canvas.addEventListener("pointermove", act((event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const spread = held.size === 2 ? distance(held) : 0;
    held.set(event.pointerId, [event.clientX, event.clientY]);
    const scale = 2 / canvas.clientHeight;
    if (held.size === 2) {
      move(page, state, 0, 0, (distance(held) - spread) * scale);
    } else {
      const [right, down] = [before[0] - event.clientX, before[1] - event.clientY];
      move(page, state, right * scale, down * scale, 0);
    }
  }));
  canvas.addEventListener("wheel", act((event) => {
    event.preventDefault();
    move(page, state, 0, 0, -Math.sign(event.deltaY) * KEY_STEP);
  }), { passive: false });
}

function distance(held) {
  const [a, b] = [...held.values()];
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function keys({ page, state, act, scene }) {
  document.addEventListener("keydown", (event) => {
    const isTaken = OWN_KEYS[event.target.tagName]?.test(event.key);
    if (event.ctrlKey || event.metaKey || event.altKey || isTaken) return;
    const answer = answerTo(event.key, page, state, scene);
    if (!answer) return;
    event.preventDefault();
    act(answer)(event);
  });
}

function answerTo(key, page, state, scene) {
  if (key in MOVES) return () => move(page, state, ...MOVES[key].map((part) => part * KEY_STEP));
  if (key === " ") return () => play(page, state, !state.playing);
  if (key === "Home") return () => home(page, state);
  if (key === "b") return () => useBasis(page, state, state.basis > 0 ? 0 : scene.basis.count);
  return null;
}

function sliders({ page, state, act, scene }) {
  setRange(page.planes, 1, scene.depths.length);
  setRange(page.basis, 0, scene.basis.count);
  page.planes.addEventListener("input", act(() => {
    state.planes = Number(page.planes.value);
    page.planesShown.textContent = page.planes.value;
  }));
  page.basis.addEventListener("input", act(() => useBasis(page, state, Number(page.basis.value))));
  page.dependence.addEventListener("change", act(() =>
    useBasis(page, state, page.dependence.checked ? scene.basis.count : 0)));
  state.planes = scene.depths.length;
  page.planesShown.textContent = state.planes;
  useBasis(page, state, scene.basis.count);
}

function useBasis(page, state, count) {
  state.basis = count;
  page.basis.value = count;
  page.dependence.checked = count > 0;
  page.basisShown.textContent = count;
}

function setRange(input, least, most) {
  [input.min, input.max, input.value] = [least, most, most];
}
