// A gallery: tiles that fetch their pictures as they come into sight, one of them chosen.

function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;  // names come from people: never as markup
  return element;
}

class Gallery {
  constructor(root) {
    this.root = root;
    [this.scroll, this.grid] = [root.querySelector(".scroll"), root.querySelector(".grid")];
    [this.tiles, this.at, this.selected] = [[], 0, -1];
    this.grid.onclick = (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.choose(this.tiles.indexOf(tile));
    };
    this.grid.onkeydown = (event) => this.press(event);
    this.seen = new IntersectionObserver((entries) => this.load(entries), { root: this.scroll, rootMargin: "300px" });
  }

  close() { this.seen.disconnect(); }

  update({ items, selected, base, label, height }) {
    this.grid.setAttribute("aria-label", label);
    this.scroll.style.setProperty("--height", `${height}px`);
    const text = JSON.stringify([items, base]);
    const fresh = text !== this.text;
    if (fresh) this.fill(items, base);
    this.text = text;
    const moved = selected !== this.selected || fresh;
    this.mark(selected);
    if (moved && selected >= 0) this.show(selected);
    this.root.dataset.count = items.length;
  }

  fill(items, base) {
    this.seen.disconnect();
    const before = new Map(this.tiles.map((tile) => [tile.text, tile]));  // pictures that stay are not drawn again
    const focused = this.grid.contains(this.grid.getRootNode().activeElement);
    this.items = items;
    this.tiles = items.map((item) => {
      const text = JSON.stringify([item, base]);
      return before.get(text) || this.tile(item, base, text);
    });
    this.grid.replaceChildren(...this.tiles);
    this.at = Math.max(0, Math.min(this.at, this.tiles.length - 1));
    for (const tile of this.tiles) {
      tile.tabIndex = -1;
      if (tile.url) this.seen.observe(tile);
    }
    if (this.tiles.length) this.tiles[this.at].tabIndex = 0;
    if (focused) this.tiles[this.at]?.focus({ preventScroll: true });
  }

  tile({ caption, badge, told, url }, base, text) {
    const tile = make("div", "tile"), picture = make("div", "picture");
    Object.assign(tile, { text, url: url && base + url, title: [caption, told].filter(Boolean).join("\n") });
    tile.setAttribute("role", "option");
    tile.setAttribute("aria-label", [caption, badge, told].filter(Boolean).join(", "));
    if (!url) picture.textContent = "no picture";
    tile.append(picture, this.caption(caption));
    if (badge) tile.append(make("div", "badge", badge));
    return tile;
  }

  /** A name of which the beginning is cut where it is too long: names of images differ at their ends. */
  caption(text) {
    const letters = [...text], cut = Math.max(0, letters.length - 8), caption = make("div", "caption");
    caption.append(make("span", "start", letters.slice(0, cut).join("")));
    caption.append(make("span", "end", letters.slice(cut).join("")));
    return caption;
  }

  /** Fetch the pictures of tiles that came near. */
  load(entries) {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      this.seen.unobserve(target);
      const image = make("img"), url = target.url;
      Object.assign(image, { alt: "", decoding: "async", draggable: false });
      image.onerror = () => image.replaceWith("no picture");
      image.src = url;
      target.url = "";
      target.querySelector(".picture").replaceChildren(image);
    }
  }

  mark(selected) {
    this.tiles.forEach((tile, number) => tile.setAttribute("aria-selected", number === selected));
    if (selected >= 0 && selected !== this.selected) this.rove(selected);
    this.selected = selected;
  }

  /** The one tile that Tab reaches. */
  rove(number) {
    if (this.tiles[this.at]) this.tiles[this.at].tabIndex = -1;
    this.at = number;
    this.tiles[number].tabIndex = 0;
  }

  /** Bring a tile into sight, without moving the page. */
  show(number) {
    const tile = this.tiles[number].getBoundingClientRect(), frame = this.scroll.getBoundingClientRect();
    if (tile.top < frame.top) this.scroll.scrollTop -= frame.top - tile.top + 6;
    else if (tile.bottom > frame.bottom) this.scroll.scrollTop += tile.bottom - frame.bottom + 6;
  }

  choose(number) {
    this.mark(number);
    this.send("choose", this.items[number].id);
  }

  press(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.tiles.length) return;
    const across = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const rows = Math.max(1, Math.floor(this.scroll.clientHeight / (this.tiles[0].offsetHeight + 6)));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, PageUp: -across * rows,
      PageDown: across * rows, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") this.choose(this.at);
    else if (event.key in steps) {
      const last = this.tiles.length - 1, to = this.at + steps[event.key];
      if (Math.abs(steps[event.key]) === across && (to < 0 || to > last)) return event.preventDefault();
      this.rove(Math.max(0, Math.min(last, to)));
      this.tiles[this.at].focus({ preventScroll: true });
      this.show(this.at);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".gallery");
  root.gallery ??= new Gallery(root);
  root.gallery.send = setTriggerValue;
  root.gallery.update(data);
  return () => root.gallery.close();
}
