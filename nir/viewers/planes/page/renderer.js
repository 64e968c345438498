// Drawing: textures of baked planes and the shader that goes through them.

import { SceneError } from "./scene.js";

export class Renderer {
  /** `gl` of `contextOf`, a scene that `check` let pass, its textures by name. */
  constructor(gl, scene, bytes, shaders) {
    Object.assign(this, { gl, scene, canvas: gl.canvas });
    this.canvas.width = scene.image.width;
    this.canvas.height = scene.image.height;
    this.program = link(gl, shaders.vertex, this.specialised(shaders.fragment));
    gl.useProgram(this.program);
    this.upload(bytes);
    this.setConstants();
  }

  /** Fill in what depends on the scene: counts, and the sum over the stored channels. */
  specialised(source) {
    const { basis, tile, coefficients } = this.scene;
    const lines = [];
    for (let channel = 0; channel < 3 * basis.count; ++channel) {
      const layer = Math.floor(channel / 4);
      if (channel % 4 === 0) {
        lines.push(`level = textureLod(coefficient_pages, vec3(at.xy, first + ${layer}.0), 0.0);`);
      }
      const [to, from] = ["rgb"[channel % 3], "rgba"[channel % 4]];
      lines.push(`colour.${to} += weights[${Math.floor(channel / 3) + 1}] * level.${from};`);
    }
    const defined = `#define BASIS ${basis.count}\n#define LAYERS ${coefficients.layers}\n` +
      `#define SIDE ${tile + 1}\n`;
    return source
      .replace("#version 300 es\n", `#version 300 es\n${defined}`)
      .replace("// CHANNELS", lines.join("\n  "));
  }

  upload(bytes) {
    const { gl, scene } = this;
    const { alpha, base, coefficients, tiles, basis } = scene;
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    const levels = (files) => files.map((file) => bytes.get(file.name));
    const numbers = (file) => [new Uint32Array(bytes.get(file.name).buffer)];
    this.texture(0, "alpha_pages", [gl.R8, gl.RED, gl.UNSIGNED_BYTE],
      alpha, 1, levels(alpha.files));
    this.texture(1, "base_pages", [gl.RGB8, gl.RGB, gl.UNSIGNED_BYTE],
      base, 1, levels(base.files));
    this.texture(2, "coefficient_pages", [gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE],
      coefficients, coefficients.layers, levels(coefficients.files));
    this.texture(3, "basis_table", [gl.R8, gl.RED, gl.UNSIGNED_BYTE],
      basis, basis.count, levels([basis.file]));
    this.texture(4, "tiles", [gl.RG32UI, gl.RG_INTEGER, gl.UNSIGNED_INT],
      tiles, tiles.count, numbers(tiles.file));
    this.texture(5, "coefficient_tiles", [gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT],
      coefficients.tiles, coefficients.tiles.count, numbers(coefficients.tiles.file));
    this.planes(6);
  }

  /** One array texture of {width, height}; each of `pages` fills `layers` of it. */
  texture(unit, name, [internal, format, type], { width, height }, layers, pages) {
    const { gl } = this;
    const kind = gl.TEXTURE_2D_ARRAY;
    this.bind(unit, name, kind, type === gl.UNSIGNED_BYTE ? gl.LINEAR : gl.NEAREST);
    gl.texStorage3D(kind, 1, internal, width, height, Math.max(layers, 1) * pages.length);
    if (layers) pages.forEach((page, index) => gl.texSubImage3D(
      kind, 0, 0, 0, index * layers, width, height, layers, format, type, page));
    if (gl.getError() === gl.OUT_OF_MEMORY) {
      throw new SceneError("The device has too little memory for this scene's textures; " +
        "bake it with a smaller --resolution.");
    }
  }

  /** Inverse depth, that of the group's first plane, and the group, of every plane. */
  planes(unit) {
    const { gl, scene } = this;
    const { depths, first_depths: firsts, groups } = scene;
    const about = depths.flatMap((depth, i) => [1 / depth, 1 / firsts[i], groups[i], 0]);
    this.bind(unit, "planes", gl.TEXTURE_2D, gl.NEAREST);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, depths.length, 1, 0, gl.RGBA, gl.FLOAT,
      new Float32Array(about));
  }

  bind(unit, name, kind, filter) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(kind, gl.createTexture());
    gl.texParameteri(kind, gl.TEXTURE_MIN_FILTER, filter);
    gl.texParameteri(kind, gl.TEXTURE_MAG_FILTER, filter);
    gl.texParameteri(kind, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(kind, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.uniform1i(this.place(name), unit);
  }

  place(name) {
    return this.gl.getUniformLocation(this.program, name);
  }

  setConstants() {
    const { gl, scene } = this;
    const { image, stack, basis, coefficients } = scene;
    gl.viewport(0, 0, image.width, image.height);
    gl.uniform4f(this.place("lens"), ...image.lens);
    gl.uniform4f(this.place("plane_lens"), ...stack.lens);
    const { shrink } = coefficients;
    gl.uniform2f(this.place("plane_size"), stack.width, stack.height);
    gl.uniform1f(this.place("coefficient_shrink"), shrink);
    gl.uniform2f(this.place("coefficient_size"),
      Math.ceil(stack.width / shrink), Math.ceil(stack.height / shrink));
    gl.uniform1f(this.place("canvas_height"), image.height);
    gl.uniform2f(this.place("direction_limits"), ...basis.limits);
    const ranges = basis.low.flatMap((low, n) => [low, basis.high[n]]);
    gl.uniform2fv(this.place("basis_range"), [0, 0, ...ranges]);
    gl.uniform1fv(this.place("coefficient_scales"), [1, ...coefficients.scales]);
  }

  /** Draw the view of a pose (16 numbers) with so many planes and basis functions. */
  draw(pose, planes, basisFunctions) {
    const { gl, scene } = this;
    const [a, b, c, x, d, e, f, y, g, h, i, z] = pose;
    gl.uniformMatrix3fv(this.place("rotation"), false, [a, d, g, b, e, h, c, f, i]);
    gl.uniform3f(this.place("place"), x, y, z);
    gl.uniform1i(this.place("plane_count"), planes);
    const used = Array.from({ length: scene.basis.count }, (_, n) => Number(n < basisFunctions));
    gl.uniform1fv(this.place("basis_weights"), [1, ...used]);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  /** The pixels just drawn, as RGBA bytes, the lowest row first. */
  pixels() {
    const { gl, canvas } = this;
    const content = new Uint8Array(4 * canvas.width * canvas.height);
    gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, content);
    return content;
  }
}

export function contextOf(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, depth: false });
  if (!gl) {
    throw new SceneError("WebGL2 is not available here. Use a current browser with hardware " +
      "acceleration switched on (its address chrome://gpu or about:support says why it is off).");
  }
  return gl;
}

/**
 * Refuse a scene that this device cannot hold, saying what to do. `limit` lowers the device's
 * texture size, to see what a smaller device would say.
 */
export function check(gl, scene, limit = Infinity) {
  const side = Math.min(limit, gl.getParameter(gl.MAX_TEXTURE_SIZE));
  const { alpha, base, coefficients, depths } = scene;
  const sides = [alpha, base, coefficients].flatMap(({ width, height }) => [width, height]);
  const needed = Math.max(...sides);
  if (needed > side) {
    throw new SceneError(`The scene's textures are ${needed} pixels wide, this device takes ` +
      `${side}. Bake it again with --texture-size ${side}.`);
  }
  const layers = gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS);
  const most = Math.max(
    alpha.files.length, coefficients.files.length * coefficients.layers, depths.length);
  if (most > layers) {
    throw new SceneError(`The scene needs ${most} texture layers, this device takes ${layers}. ` +
      "Bake it again with larger pages (--texture-size) or a smaller --resolution.");
  }
}

function link(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getShaderInfoLog(shader));
    }
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new SceneError(`The device cannot run the shader: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}
