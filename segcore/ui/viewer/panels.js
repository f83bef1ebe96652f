// The panels: which there are, where they stand, and drawing what is in sight into them.

const KINDS = { image: "Image", truth: "Truth", prediction: "Prediction", errors: "Errors", agreement: "Who is right",
  confidence: "Confidence", entropy: "Entropy" };
const OF_RUNS = ["prediction", "errors", "confidence", "entropy"];
const NARROWEST = 230;  // of a panel, in CSS pixels

/** What networks are in a pixel together: indices into `agreementColors`. */
const [ALL_RIGHT, FIRST_RIGHT, SECOND_RIGHT, SOME_RIGHT, ALL_WRONG, SAME_WRONG] = [0, 1, 2, 3, 4, 5];

/** Which of these there are with so many networks, and what each is called. */
function agreements(scene) {
  const titles = scene.runs.map((run) => run.title), two = titles.length === 2;
  const right = two ? [[ALL_RIGHT, "both right"], [FIRST_RIGHT, `only ${titles[0]}`], [SECOND_RIGHT, `only ${titles[1]}`]]
    : [[ALL_RIGHT, "all right"], [SOME_RIGHT, "some right"]];
  return [...right, [ALL_WRONG, "all fail"], [SAME_WRONG, "all fail, with the same class"]];
}

/** What the networks are together where the truth is `true_`; `said` what each says. */
function agreement(true_, said) {
  let right = 0;
  for (const one of said) right += one === true_;
  if (right === said.length) return ALL_RIGHT;
  if (right) return said.length > 2 ? SOME_RIGHT : said[0] === true_ ? FIRST_RIGHT : SECOND_RIGHT;
  return said.every((one) => one === said[0]) ? SAME_WRONG : ALL_WRONG;
}

function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;  // names come from people: never as markup
  return element;
}

function swatch(color) {
  const square = make("span", "swatch");
  square.style.background = typeof color === "string" ? color : `rgb(${color})`;
  return square;
}

/** The kinds of pictures that a scene has: some need the truth, some what a network said. */
function kindsOf(scene) {
  const possible = (kind) => (scene.truth || !["truth", "errors", "agreement"].includes(kind))
    && (scene.runs.length > 1 || kind !== "agreement");
  return Object.keys(KINDS).filter((kind) => possible(kind) && (scene.runs.length || !OF_RUNS.includes(kind)));
}

/** [kind, run] of all panels for a scene. */
function panelsOf(scene, shown) {
  const kinds = kindsOf(scene).filter((kind) => shown.has(kind));
  return kinds.flatMap((kind) => OF_RUNS.includes(kind) ? scene.runs.map((_, run) => [kind, run]) : [[kind, -1]]);
}

/** How many stand side by side: with several runs one column a run, else what leaves the fewest gaps and is not too tall. */
function columns(count, runs, width, aspect) {
  const most = Math.max(1, Math.min(count, Math.floor(width / NARROWEST)));
  if (runs > 1) return Math.min(most, runs);
  const numbers = Array.from({ length: most }, (_, i) => i + 1);
  const gaps = (number) => Math.ceil(count / number) * number - count;
  const fewest = Math.min(...numbers.filter((number) => number > 1 || most === 1).map(gaps));
  const tall = (number) => Math.ceil(count / number) * (width / number / aspect + 60) > 1.3 * window.innerHeight;
  const fitting = numbers.filter((number) => (number > 1 || most === 1) && gaps(number) === fewest);
  return fitting.find((number) => !tall(number)) || fitting.at(-1);
}

class Panel {
  constructor(kind, run, scene) {
    [this.kind, this.run] = [kind, run];
    this.figure = make("figure", "panel");
    const caption = make("figcaption", "", KINDS[kind]);
    const title = run >= 0 && scene.runs.length > 1 ? scene.runs[run].title : "";
    if (title) caption.append(" ", make("span", "", title));
    this.frame = make("div", "frame");
    this.canvas = make("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", [KINDS[kind], title].filter(Boolean).join(" of "));
    this.cross = make("div", "cross");
    this.mark = make("div", "mark");
    this.frame.append(this.canvas, this.mark, this.cross);
    const told = make("div", kind === "agreement" ? "told several" : "told");
    this.value = make("span", "value");
    told.append(this.key(scene), this.value);
    this.figure.append(caption, this.frame, told);
  }

  key(scene) {
    const key = make("span", "key");
    if (this.kind === "errors") {
      const names = ["right", "wrong", "not labelled"];
      names.forEach((name, i) => key.append(swatch(scene.errorColors[i]), name));
    } else if (this.kind === "agreement") {
      for (const [place, name] of agreements(scene)) {
        const entry = make("span");
        entry.append(swatch(scene.agreementColors[place]), name);
        key.append(entry);
      }
    } else if (this.kind === "confidence" || this.kind === "entropy") {
      const ramp = make("span", "ramp");
      ramp.style.background = RAMP_CSS;
      const ends = this.kind === "confidence" ? ["unsure", "sure"] : ["one class", "undecided"];
      key.append(ends[0], ramp, ends[1]);
    }
    return key;
  }

  /** Draw what is in sight; `base` is the photograph as it is in sight. */
  paint(seen, scene, look, base, scratch) {
    const { width, height } = seen;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const run = scene.runs[this.run];
    const measured = this.kind === "confidence" || this.kind === "entropy";
    if (!measured) context.drawImage(base, 0, 0);
    if (this.kind === "image") return;
    const out = scratch.pixels(width, height);
    if (this.kind === "agreement") {
      const said = scene.runs.map((one) => sample(one.labels, seen));
      paintAgreement(out, said, sample(scene.truth, seen), look.on, look.agreement, look.errors[2]);
      return context.drawImage(scratch.drawn(), 0, 0);
    }
    const map = this.kind === "truth" ? scene.truth : this.kind === "errors" ? run.labels : run[this.kind] || run.labels;
    const found = sample(map, seen);
    if (measured) paintRamp(out, found);
    else if (this.kind === "errors") paintErrors(out, found, sample(scene.truth, seen), look.on, look.errors);
    else if (look.style === "contour") paintContour(out, found, look.lines, width, look.thick);
    else paintFill(out, found, look.fills);
    context.drawImage(scratch.drawn(), 0, 0);
  }

  /** Say what is at a share of the image, or nothing. */
  tell(at, scene) {
    if (!at) return this.value.replaceChildren();
    const value = (map) => map.values[
      Math.floor(at[1] * map.height) * map.width + Math.floor(at[0] * map.width)];
    const of = (label) => label === NONE ? "not labelled" : scene.classes[label].name;
    const run = scene.runs[this.run];
    const parts = [];
    if (this.kind === "truth" || this.kind === "prediction") {
      const label = value(this.kind === "truth" ? scene.truth : run.labels);
      if (label !== NONE) parts.push(swatch(scene.classes[label].color));
      parts.push(of(label) + (run ? `, ${value(run.confidence)} % sure` : ""));
    } else if (this.kind === "errors") {
      const truth = value(scene.truth), said = value(run.labels);
      const wrong = `${of(truth)} taken for ${of(said)}`;
      parts.push(truth === NONE ? "not labelled" : truth === said ? "right" : wrong);
    } else if (this.kind === "agreement") {
      const truth = value(scene.truth), said = scene.runs.map((one) => value(one.labels));
      const [, what] = agreements(scene).find(([place]) => place === agreement(truth, said));
      const same = said.every((label) => label === said[0]) && truth !== said[0];
      parts.push(truth === NONE ? "not labelled" : same ? `all take ${of(truth)} for ${of(said[0])}` : what);
    } else if (run) parts.push(`${value(run[this.kind])} %`);
    this.value.replaceChildren(...parts);
    this.value.title = this.value.textContent;
  }
}

/** One buffer of pixels for all panels, as they are of one size. */
class Scratch {
  constructor() { this.canvas = make("canvas"); }

  pixels(width, height) {
    if (!this.image || this.image.width !== width || this.image.height !== height) {
      Object.assign(this.canvas, { width, height });
      this.image = new ImageData(width, height);
      this.words = new Uint32Array(this.image.data.buffer);
    }
    return this.words;
  }

  drawn() {
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
    return this.canvas;
  }
}

/** The photograph in sight: sharp squares where it is enlarged, smooth where it is reduced. */
function paintBase(canvas, photo, seen) {
  const { width, height } = seen;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const scale = 1 / (seen.across * photo.width);
  const level = photo.levels.findLast((part) => part.width >= photo.width * Math.min(1, scale)) || photo.levels[0];
  context.imageSmoothingEnabled = scale < 1;
  context.imageSmoothingQuality = "high";
  const [x, y] = [-seen.left / seen.across, -seen.top / seen.down];
  context.drawImage(level, x, y, 1 / seen.across, 1 / seen.down);
}
