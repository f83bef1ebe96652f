// Painting: only what is in sight, at the resolution of the screen, straight from the maps. Nothing is ever resized
// but the photograph, so that a pixel of a map is a sharp square at any zoom.

// The colours of matplotlib's "cividis", which the colour-blind see alike (Nunez et al. 2018, PLoS ONE 13(7)).
const RAMP = [[0, 34, 78], [66, 78, 108], [125, 124, 120], [188, 175, 112], [254, 232, 56]];

function pixel([red, green, blue], opacity = 1) {
  return ((Math.round(255 * opacity) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function rampColor(share) {
  const place = share * (RAMP.length - 1), low = Math.min(RAMP.length - 2, Math.floor(place));
  return RAMP[low].map((value, i) => Math.round(value + (RAMP[low + 1][i] - value) * (place - low)));
}

const RAMP_PIXELS = Uint32Array.from({ length: 101 }, (_, percent) => pixel(rampColor(percent / 100)));
const RAMP_CSS = `linear-gradient(90deg, ${RAMP.map((color) => `rgb(${color})`).join(", ")})`;

/** For each screen pixel of a side the map's pixel under it, -1 outside; `start` and `step` are shares of the image. */
function under(length, start, step, size) {
  const found = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    const place = Math.floor((start + (i + 0.5) * step) * size);
    found[i] = place < 0 || place >= size ? -1 : place;
  }
  return found;
}

const NONE = 255;  // no class, in masks and maps of labels alike; also what lies outside of the image

/** The values of a map in sight, one byte a screen pixel. */
function sample(map, sight) {
  const { width, height } = sight;
  const columns = under(width, sight.left, sight.across, map.width);
  const rows = under(height, sight.top, sight.down, map.height);
  const found = new Uint8Array(width * height).fill(NONE);
  let first = 0, last = width;
  while (first < last && columns[first] < 0) first++;
  while (last > first && columns[last - 1] < 0) last--;
  for (let y = 0; y < height; y++) {
    if (rows[y] < 0) continue;
    const row = rows[y] * map.width, into = y * width;
    for (let x = first; x < last; x++) found[into + x] = map.values[row + columns[x]];
  }
  return found;
}

function paintFill(out, labels, colors) {
  for (let i = 0; i < out.length; i++) out[i] = colors[labels[i]];
}

/** Only the edges of classes, `thick` screen pixels on either side. */
function paintContour(out, labels, colors, width, thick) {
  const height = labels.length / width;
  const differs = (there, here) => labels[there] !== here;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const here = labels[i];
      const edge = colors[here] && (
        (x >= thick && differs(i - thick, here)) || (x < width - thick && differs(i + thick, here)) ||
        (y >= thick && differs(i - thick * width, here)) || (y < height - thick && differs(i + thick * width, here)));
      out[i] = edge ? colors[here] : 0;
    }
  }
}

/** Right, wrong or not labelled, where truth or prediction is of a class that is switched on. */
function paintErrors(out, labels, truth, on, [right, wrong, unlabelled]) {
  for (let i = 0; i < out.length; i++) {
    const true_ = truth[i], said = labels[i];
    if (said === NONE) out[i] = 0;
    else if (true_ === NONE) out[i] = unlabelled;
    else if (!on[true_] && !on[said]) out[i] = 0;
    else out[i] = true_ === said ? right : wrong;
  }
}

/** Who is right, where the truth or what a network says is of a class that is switched on. */
function paintAgreement(out, said, truth, on, colors, unlabelled) {
  const here = new Array(said.length);
  for (let i = 0; i < out.length; i++) {
    let wanted = on[truth[i]];
    for (let run = 0; run < said.length; run++) {
      here[run] = said[run][i];
      wanted ||= on[here[run]];
    }
    if (here[0] === NONE) out[i] = 0;
    else if (truth[i] === NONE) out[i] = unlabelled;
    else out[i] = wanted ? colors[agreement(truth[i], here)] : 0;
  }
}

function paintRamp(out, values) {
  for (let i = 0; i < out.length; i++) out[i] = values[i] > 100 ? 0 : RAMP_PIXELS[values[i]];
}
