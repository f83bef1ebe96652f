// Wheel, drag, pinch, double click and keys, on all panels alike.

/** The panel's frame under an event, and where in it. */
function placeIn(event) {
  const frame = event.target.closest(".frame");
  if (!frame) return null;
  const box = frame.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function watchPointer(stage, sight, { changed, point }) {
  const held = new Map();
  const middle = () => {
    const all = [...held.values()];
    return [0, 1].map((i) => all.reduce((sum, place) => sum + place[i], 0) / all.length);
  };
  const apart = () => {
    const [a, b] = [...held.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };

  stage.addEventListener("wheel", (event) => {
    const place = placeIn(event);
    // The whole image cannot get smaller: then the wheel is the page's.
    if (!place || (event.deltaY > 0 && sight.zoom <= 1)) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    sight.zoomAt(Math.exp(-Math.max(-300, Math.min(300, event.deltaY * lines)) / 400), place);
    changed();
  }, { passive: false });

  stage.addEventListener("pointerdown", (event) => {
    const place = placeIn(event);
    if (!place || event.button > 0) return;
    held.set(event.pointerId, place);
    event.target.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const place = placeIn(event);
    if (!held.has(event.pointerId)) return point(place);
    if (!place) return;
    const [from, span] = [middle(), held.size === 2 ? apart() : 0];
    held.set(event.pointerId, place);
    const to = middle();
    if (span) sight.zoomAt(apart() / span, to);
    sight.move(to[0] - from[0], to[1] - from[1]);
    stage.classList.add("dragged");
    point(place);
    changed();
  });
  const release = (event) => {
    held.delete(event.pointerId);
    stage.classList.toggle("dragged", held.size > 0);
  };
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("pointerleave", () => point(null));
  stage.addEventListener("dblclick", (event) => {
    if (!placeIn(event)) return;
    sight.whole();
    changed();
  });
}

/** What a key does, or nothing; keys that a control under the focus needs are its own. */
function keyAction(event, { step, zoom, move, whole }) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const control = event.composedPath()[0];
  if (control.matches?.("input[type=range], input[type=radio], input:not([type]), textarea, select")) return null;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.key in arrows && event.shiftKey) return () => move(...arrows[event.key]);
  const actions = {
    ArrowLeft: () => step(-1), p: () => step(-1), ArrowRight: () => step(1), n: () => step(1),
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), _: () => zoom(1 / 1.5), 0: whole,
  };
  return actions[event.key] || null;
}
