// What came from Python: a header and, behind it, the bytes it points into (see packing.py).

function parse(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { header, blobs: bytes.subarray(4 + length) };
}

/** Every picture and map of a header. */
function layersOf(header) {
  const runs = header.runs.flatMap((run) => [run.labels, run.confidence, run.entropy]);
  return [header.photo, header.truth, ...runs].filter(Boolean);
}

async function unpack(layer, blobs) {
  const bytes = blobs.subarray(layer.from, layer.from + layer.length);
  if (layer.kind.startsWith("image/")) return { ...layer, levels: await pyramid(bytes, layer) };
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new Uint8Array(await new Response(stream).arrayBuffer());
  if (layer.kind === "percent") for (let i = 1; i < values.length; i++) values[i] += values[i - 1];
  return { ...layer, values };
}

/** The photograph and halves of it: a small picture of a large one is drawn from the next larger half. */
async function pyramid(bytes, layer) {
  const levels = [await createImageBitmap(new Blob([bytes], { type: layer.kind }))];
  while (Math.max(levels.at(-1).width, levels.at(-1).height) > 1600) {
    const { width, height } = levels.at(-1);
    const size = { resizeWidth: Math.ceil(width / 2), resizeHeight: Math.ceil(height / 2), resizeQuality: "high" };
    levels.push(await createImageBitmap(levels.at(-1), size));
  }
  return levels;
}
