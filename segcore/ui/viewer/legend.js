// The legend: every class with its colour, a switch, and what it scores in this image.

class Legend {
  /** `changed()` is called after any switch, `only(name)` where one class alone was chosen, or no longer is. */
  constructor(root, changed, only) {
    [this.root, this.changed, this.told] = [root, changed, only];
    this.off = new Set();  // names, so that they mean the same under another class table
    this.alone = null;
    root.querySelector(".all").onclick = () => this.switch_(() => this.off.clear());
    root.querySelector(".none").onclick = () => this.switch_(() => this.names.forEach((name) => this.off.add(name)));
  }

  isOn(label) { return !this.off.has(this.names[label]); }

  switch_(change) {
    change();
    const left = this.names.filter((name) => !this.off.has(name));
    const alone = left.length === 1 && this.names.length > 1 ? left[0] : null;
    if (alone !== this.alone) this.told(alone);
    this.alone = alone;
    this.mark();
    this.changed();
  }

  /** What the address names, where it changed. */
  follow(alone) {
    if (alone === this.alone) return;
    this.alone = alone;
    this.off = new Set(alone === null ? [] : this.names.filter((name) => name !== alone));
  }

  show(scene) {
    this.names = scene.classes.map((info) => info.name);
    const table = this.root.querySelector("table");
    const text = JSON.stringify([scene.classes, scene.table]);
    if (table.shown !== text) {
      table.shown = text;
      table.replaceChildren(this.head(scene.table), this.body(scene), this.foot(scene.table));
    }
    const note = this.root.querySelector(".note");
    note.textContent = scene.table.note;
    note.hidden = !scene.table.note;
  }

  head({ columns }) {
    const head = make("thead"), row = make("tr");
    row.append(...["Class", ...columns].map((text) => make("th", "", text)));
    row.append(make("th"));
    for (const cell of row.children) cell.scope = "col";
    head.append(row);
    return head;
  }

  body(scene) {
    const body = make("tbody");
    for (const { label, cells } of scene.table.rows) {
      const { name, color } = scene.classes[label];
      const row = make("tr"), head = make("th"), label_ = make("label"), box = make("input");
      box.type = "checkbox";
      box.onchange = () => this.switch_(() => box.checked ? this.off.delete(name) : this.off.add(name));
      label_.append(box, swatch(color), make("span", "name", name));
      head.scope = "row";
      head.append(label_);
      const only = make("button", "", "only");
      only.type = "button";
      only.setAttribute("aria-label", `Show only ${name}`);
      only.onclick = () => this.switch_(() => { this.off = new Set(this.names.filter((other) => other !== name)); });
      const last = make("td");
      last.append(only);
      row.append(head, ...cells.map((text) => make("td", "", text)), last);
      row.name = name;
      body.append(row);
    }
    return body;
  }

  foot({ totals }) {
    const foot = make("tfoot");
    for (const [title, cells] of totals) {
      const row = make("tr"), head = make("th", "", title);
      head.scope = "row";
      row.append(head, ...cells.map((text) => make("td", "", text)), make("td"));
      foot.append(row);
    }
    return foot;
  }

  mark() {
    for (const row of this.root.querySelectorAll("tbody tr")) {
      row.classList.toggle("off", this.off.has(row.name));
      row.querySelector("input").checked = !this.off.has(row.name);
    }
  }
}
