// The viewing camera, in the reference camera's axes: x right, y down, z forward, row by row.
// It moves within the reach of the views that the scene was baked for and looks at one depth.

/** Pose (16 numbers, camera to reference) at `place` that looks at `target`, y downwards. */
export function lookAt(place, target) {
  const forward = normalise(target.map((value, i) => value - place[i]));
  const right = normalise(cross([0, 1, 0], forward));
  const down = cross(forward, right);
  return [
    right[0], down[0], forward[0], place[0],
    right[1], down[1], forward[1], place[1],
    right[2], down[2], forward[2], place[2],
    0, 0, 0, 1,
  ];
}

export class Camera {
  constructor(views) {
    this.views = views; // centre, reach, focus, path
    this.home();
  }

  home() {
    this.offset = [0, 0, 0];
    this.step = null;
  }

  /** Move by a share of the reach; beyond it the planes would show. */
  move(right, down, forward) {
    this.step = null;
    this.offset = [right, down, forward].map((change, i) =>
      Math.min(1, Math.max(-1, this.offset[i] + change)));
  }

  /** Go on along the path, `seconds` at a time; once around takes eight. */
  follow(seconds) {
    const count = this.views.path.length;
    this.step = ((this.step ?? 0) + (seconds / 8) * count) % count;
  }

  pose() {
    if (this.step !== null) return this.between(Math.floor(this.step));
    const { centre, reach, focus } = this.views;
    const place = centre.map((value, i) => value + reach[i] * this.offset[i]);
    return lookAt(place, focus);
  }

  /** Path poses are near each other: their mean, made a rotation again, is between them. */
  between(index) {
    const { path } = this.views;
    const share = this.step - index;
    const [from, to] = [path[index], path[(index + 1) % path.length]];
    const mixed = from.map((value, i) => value + share * (to[i] - value));
    const forward = normalise([mixed[2], mixed[6], mixed[10]]);
    const right = normalise(cross([mixed[1], mixed[5], mixed[9]], forward));
    const down = cross(forward, right);
    [right, down, forward].forEach((axis, column) =>
      axis.forEach((value, row) => { mixed[4 * row + column] = value; }));
    return mixed;
  }
}

function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function normalise(vector) {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
