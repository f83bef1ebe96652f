// Where all panels look: the centre as shares of the image, and how much larger than the whole image in the panel.

const LARGEST = 48;  // screen pixels for one pixel of the image

class Sight {
  constructor() {
    this.size = [1, 1];
    this.panel = [1, 1];
    this.whole();
  }

  /** Bring a part of the image, [left, top, right, bottom] as shares of it, to the middle of the panel. */
  aimAt([left, top, right, bottom]) {
    [this.x, this.y] = [(left + right) / 2, (top + bottom) / 2];
    const sides = [(right - left) * this.size[0], (bottom - top) * this.size[1]];
    this.zoom = 0.45 * Math.min(...sides.map((side, i) => this.panel[i] / (side * this.fit)));
    this.settle();
  }

  whole() { [this.x, this.y, this.zoom] = [0.5, 0.5, 1]; }

  /** Screen pixels (of CSS) for one pixel of the image. */
  get scale() { return this.fit * this.zoom; }
  get fit() { return Math.min(this.panel[0] / this.size[0], this.panel[1] / this.size[1]); }

  /** Keep the image in the panel, and the zoom between the whole image and large single pixels. */
  settle() {
    this.zoom = Math.min(Math.max(1, this.zoom), Math.max(1, LARGEST / this.fit));
    [this.x, this.y] = [this.x, this.y].map((centre, i) => {
      const half = this.panel[i] / (2 * this.size[i] * this.scale);
      return half >= 0.5 ? 0.5 : Math.min(Math.max(half, centre), 1 - half);
    });
  }

  /** Zoom so that what is under a place of the panel stays there. */
  zoomAt(factor, [px, py]) {
    const before = this.at([px, py]);
    this.zoom *= factor;
    this.zoom = Math.min(Math.max(1, this.zoom), Math.max(1, LARGEST / this.fit));
    const after = this.at([px, py]);
    this.x += before[0] - after[0];
    this.y += before[1] - after[1];
    this.settle();
  }

  move(dx, dy) {
    this.x -= dx / (this.size[0] * this.scale);
    this.y -= dy / (this.size[1] * this.scale);
    this.settle();
  }

  /** The share of the image under a place of the panel. */
  at(place) {
    return [this.x, this.y].map((centre, i) => centre + (place[i] - this.panel[i] / 2) / (this.size[i] * this.scale));
  }

  /** The place in the panel of a share of the image. */
  placeOf(share) {
    return [this.x, this.y].map((centre, i) => (share[i] - centre) * this.size[i] * this.scale + this.panel[i] / 2);
  }

  /** What `sample` needs to know for a canvas of so many pixels. */
  seen(width, height) {
    const [left, top] = this.at([0, 0]), [right, bottom] = this.at(this.panel);
    return { width, height, left, top, across: (right - left) / width, down: (bottom - top) / height };
  }
}
