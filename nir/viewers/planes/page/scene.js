// The scene: scene.json and the files it names, as bytes. Nothing here draws.

export class SceneError extends Error {}

/** The files of a scene by name; `tell(share)` hears how much of them has come. */
export async function readTextures(description, address, tell) {
  const files = [
    ...description.alpha.files, ...description.base.files, ...description.coefficients.files,
    description.tiles.file, description.coefficients.tiles.file, description.basis.file,
  ];
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  let come = 0;
  const bytes = new Map();
  for (const file of files) {
    bytes.set(file.name, await readBytes(new URL(file.name, address), file));
    come += file.bytes;
    tell(come / total);
  }
  return bytes;
}

/** What scene.json says. */
export async function readDescription(address) {
  const answer = await fetch(address);
  if (!answer.ok) {
    throw new SceneError(`${address.pathname} is missing (${answer.status}); bake the run again.`);
  }
  const description = await answer.json().catch(() => null);
  if (description?.format !== "nir baked planes" || description.version !== 2) {
    throw new SceneError("scene.json is not of this viewer's version; bake the run again.");
  }
  return description;
}

/** Raw bytes, compressed with gzip: no image decoder that could change a colour stands between. */
async function readBytes(address, file) {
  const answer = await fetch(address);
  if (!answer.ok) throw new SceneError(`${file.name} is missing (${answer.status}); bake again.`);
  if (typeof DecompressionStream === "undefined") {
    throw new SceneError("This browser cannot unpack gzip; please use one from 2023 or later.");
  }
  const unpacked = answer.body.pipeThrough(new DecompressionStream("gzip"));
  const content = await new Response(unpacked).arrayBuffer().catch(() => new ArrayBuffer(0));
  if (content.byteLength !== file.unpacked) {
    throw new SceneError(`${file.name} is damaged; bake the run again.`);
  }
  return new Uint8Array(content);
}
