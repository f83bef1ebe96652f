// The viewer: holds the scene, what is shown of it and how, and paints once a frame at most.

const KEPT = "segcore.viewer";  // in the tab's own storage: looks survive a change of page and a reload

class Viewer {
  constructor(root) {
    this.root = root;
    this.sight = new Sight();
    this.panels = [];
    this.layers = new Map();
    [this.base, this.scratch] = [make("canvas"), new Scratch()];
    [this.version, this.shown] = [0, new Set(["image", "truth", "prediction", "errors", "agreement"])];
    [this.opacity, this.style] = [65, "fill"];
    const told = (name) => this.send("only", name ?? "");
    this.legend = new Legend(root.querySelector(".legend"), () => this.changed(), told);
    this.recall();
    this.bind();
  }

  find(selector) { return this.root.querySelector(selector); }

  bind() {
    const stage = this.find(".stage"), changed = () => this.changed();
    watchPointer(stage, this.sight, { changed, point: (place) => this.point(place) });
    const actions = {
      step: (by) => this.scene?.steps && this.send("step", by),
      zoom: (factor) => { this.sight.zoomAt(factor, this.sight.panel.map((side) => side / 2)); changed(); },
      move: (x, y) => { this.sight.move(...[-x, -y].map((by, i) => 0.15 * by * this.sight.panel[i])); changed(); },
      whole: () => { this.sight.whole(); changed(); },
    };
    const clicks = { ".in": () => actions.zoom(1.5), ".out": () => actions.zoom(1 / 1.5), ".whole": actions.whole };
    for (const [selector, action] of Object.entries(clicks)) this.find(selector).onclick = action;
    const slider = this.find(".opacity input");
    slider.value = this.opacity;
    slider.oninput = () => { this.opacity = Number(slider.value); changed(); };
    for (const radio of this.root.querySelectorAll(".styles input")) {
      radio.checked = radio.value === this.style;
      radio.onchange = () => { this.style = radio.value; changed(); };
    }
    this.gone = new AbortController();
    document.addEventListener("keydown", (event) => {
      // Ours where the focus is in here, nowhere at all, or on a button, which needs none of these keys.
      const ours = event.composedPath().includes(this.root) || event.target.matches("body, button:not([role])");
      if (event.defaultPrevented || !ours) return;
      const action = keyAction(event, actions);
      if (!action) return;
      event.preventDefault();
      action();
    }, { signal: this.gone.signal });
    this.sized = new ResizeObserver(() => this.arrange());
    this.sized.observe(stage);
  }

  close() {
    this.gone.abort();
    this.sized.disconnect();
  }

  /** Show what came; the pictures of before stay until those of now are ready. */
  async update(bytes) {
    const version = ++this.version;
    const { header, blobs } = parse(bytes);
    const ready = new Map();
    const unpacked = layersOf(header).map(async (layer) => {
      ready.set(layer.id, this.layers.get(layer.id) || await unpack(layer, blobs));
    });
    await Promise.all(unpacked);
    if (version !== this.version) return;
    this.layers = ready;
    const get = (layer) => layer && ready.get(layer.id);
    const runs = header.runs.map((run) => ({ title: run.title, labels: get(run.labels),
      confidence: get(run.confidence), entropy: get(run.entropy) }));
    this.scene = { ...header, photo: get(header.photo), truth: get(header.truth), runs };
    const size = [header.photo.width, header.photo.height];
    if (String(size) !== String(this.sight.size)) {
      if (this.sight.size[0] > 1) this.sight.whole();
      this.sight.size = size;
    }
    const aim = JSON.stringify([header.name, header.place]);
    if (header.place && aim !== this.aimed) this.aim = header.place;
    this.aimed = aim;
    this.legend.show(this.scene);
    this.legend.follow(header.only);
    this.legend.mark();
    this.choices();
    this.arrange();
    this.root.dataset.scene = header.name;
  }

  fail(error) {
    this.find(".stage").replaceChildren(make("p", "", `This browser cannot show the pictures (${error.message}). `
      + "Try again with a current version of Chrome, Edge, Firefox or Safari."));
    throw error;
  }

  /** The switches of what is shown, and what the keys do. */
  choices() {
    this.find(".keys").textContent = "Scroll, pinch or + − to zoom, drag or Shift + arrows to move, double-click or 0 for "
      + "the whole image" + (this.scene.steps ? ", ← → for the next image." : ".");
    const box = this.find(".kinds");
    const kinds = kindsOf(this.scene);
    if (box.shown === String(kinds)) return;
    box.shown = String(kinds);
    box.replaceChildren(...kinds.map((kind) => {
      const label = make("label"), input = make("input");
      Object.assign(input, { type: "checkbox", checked: this.shown.has(kind) });
      input.onchange = () => {
        this.shown[input.checked ? "add" : "delete"](kind);
        this.arrange();
      };
      label.append(input, KINDS[kind]);
      return label;
    }));
  }

  /** Put up the panels that are wanted, keeping those there are. */
  arrange() {
    if (!this.scene) return;
    const stage = this.find(".stage"), aspect = this.sight.size[0] / this.sight.size[1];
    const wanted = panelsOf(this.scene, this.shown);
    const titles = this.scene.runs.map((run) => run.title);
    const text = JSON.stringify([wanted, titles]);
    if (stage.shown !== text) {
      stage.shown = text;
      this.panels = wanted.map(([kind, run]) => new Panel(kind, run, this.scene));
      stage.replaceChildren(...this.panels.map((panel) => panel.figure));
    }
    const number = columns(wanted.length, titles.length, stage.clientWidth, aspect);
    stage.style.setProperty("--columns", number);
    stage.style.setProperty("--aspect", Math.min(2.4, Math.max(0.75, aspect)));
    for (const panel of this.panels)
      panel.figure.classList.toggle("first", titles.length > 1 && number > 1 && panel.run === 0);
    this.changed();
  }

  changed() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = undefined;
      this.paint();
      this.keep();
    });
  }

  paint() {
    const [first] = this.panels;
    if (!first || !first.frame.clientWidth) return;
    const { sight, scene } = this;
    sight.panel = [first.frame.clientWidth, first.frame.clientHeight];
    if (this.aim) sight.aimAt(this.aim);
    this.aim = null;
    sight.settle();
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const seen = sight.seen(...sight.panel.map((side) => Math.round(side * ratio)));
    paintBase(this.base, scene.photo, seen);
    const look = this.look(ratio);
    for (const panel of this.panels) panel.paint(seen, scene, look, this.base, this.scratch);
    this.mark();
    this.find(".scale").textContent = `${Math.round(100 * sight.scale * ratio)} %`;
    this.find(".stage").classList.toggle("zoomed", sight.zoom > 1);
    this.find(".out").disabled = this.find(".whole").disabled = sight.zoom <= 1;
    this.find(".in").disabled = sight.scale >= LARGEST;
    this.find(".opacity output").textContent = `${this.opacity} %`;
    this.point(this.pointed);
  }

  /** Colours of all labels as they are drawn now. */
  look(ratio) {
    const { classes, errorColors, agreementColors } = this.scene, share = this.opacity / 100;
    const [on, fills, lines] = [new Uint8Array(256), new Uint32Array(256), new Uint32Array(256)];
    classes.forEach(({ color }, label) => {
      if (!this.legend.isOn(label)) return;
      [on[label], fills[label], lines[label]] = [1, pixel(color, share), pixel(color)];
    });
    const errors = errorColors.map((color) => pixel(color, share));
    const agreement = agreementColors.map((color) => pixel(color, share));
    return { on, fills, lines, errors, agreement, style: this.style, thick: Math.round(1.5 * ratio) };
  }

  /** Draw a frame round the place that the page points to. */
  mark() {
    const { place } = this.scene;
    for (const { mark } of this.panels) {
      mark.hidden = !place;
      if (!place) continue;
      const [left, top] = this.sight.placeOf(place.slice(0, 2)), [right, bottom] = this.sight.placeOf(place.slice(2));
      const sides = { left, top, width: right - left, height: bottom - top };
      for (const [side, value] of Object.entries(sides)) mark.style[side] = `${value}px`;
    }
  }

  /** Mark the same place in all panels and say what is there. */
  point(place) {
    this.pointed = place;
    const at = place && this.sight.at(place);
    const inside = at && at.every((share) => share >= 0 && share < 1);
    this.find(".stage").classList.toggle("pointed", Boolean(inside));
    for (const panel of this.panels) {
      if (inside) panel.cross.style.transform = `translate(${Math.round(place[0])}px, ${Math.round(place[1])}px)`;
      panel.tell(inside ? at : null, this.scene);
    }
    const [x, y] = (inside ? at : [0, 0]).map((share, i) => Math.floor(share * this.sight.size[i]));
    this.find(".place").textContent = inside ? `x ${x}, y ${y}` : "";
  }

  keep() {
    const { size, x, y, zoom } = this.sight;
    const text = JSON.stringify({ size, x, y, zoom, opacity: this.opacity, style: this.style, shown: [...this.shown],
      off: [...this.legend.off], alone: this.legend.alone });
    try { sessionStorage.setItem(KEPT, text); } catch { /* a browser that keeps nothing */ }
  }

  recall() {
    let kept = null;
    try { kept = JSON.parse(sessionStorage.getItem(KEPT)); } catch { /* nothing is kept */ }
    if (!kept) return;
    const { size, x, y, zoom, opacity, style, shown, off, alone } = kept;
    Object.assign(this.sight, { size, x, y, zoom });
    Object.assign(this, { opacity, style, shown: new Set(shown) });
    Object.assign(this.legend, { off: new Set(off), alone });
  }
}

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".viewer");
  root.viewer ??= new Viewer(root);
  root.viewer.send = setTriggerValue;
  root.viewer.update(data).catch((error) => root.viewer.fail(error));
  return () => root.viewer.close();
}
