// The mouse, fingers and keys.

const tip = $("tip");
const pointers = new Map();
let pressed = null;

function place(e) {
  const box = canvas.getBoundingClientRect();
  return [e.clientX - box.left, e.clientY - box.top];
}

function showTip(thing, e) {
  if (!thing || !thing.row) {
    tip.hidden = true;
    return;
  }
  describe(thing, tip);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(e.clientX + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = (e.clientY + 18 + box.height < innerHeight ? e.clientY + 18 : Math.max(4, e.clientY - box.height - 12)) + "px";
}

canvas.addEventListener("wheel", (e) => {
  const [x] = place(e);
  if (x < view.gutter) return; // the browser scrolls
  e.preventDefault();
  tip.hidden = true;
  const by = e.deltaMode === 1 ? 16 : 1;
  if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
    const move = (e.deltaX || e.deltaY) * by / scale();
    setView(view.from + move, view.to + move);
  } else {
    zoom(Math.exp(Math.max(-120, Math.min(120, e.deltaY * by)) * 0.003), x);
  }
}, { passive: false });

canvas.addEventListener("pointerdown", (e) => {
  if (e.button !== 0) return;
  canvas.setPointerCapture(e.pointerId);
  pointers.set(e.pointerId, place(e));
  const [x, y] = place(e);
  pressed = { x, y, from: view.from, to: view.to, scroll: scroller.scrollTop, moved: pointers.size > 1 };
  if (pointers.size === 2) {
    const [a, b] = [...pointers.values()];
    pressed.apart = Math.max(10, Math.abs(a[0] - b[0]));
    pressed.time = timeOf((a[0] + b[0]) / 2);
  }
});

canvas.addEventListener("pointermove", (e) => {
  const [x, y] = place(e);
  if (!pressed) {
    const under = pick(x, y);
    const arrow = under && under.arrow >= 0 ? under.arrow : -1;
    hover = arrow >= 0 ? targetOf(arrow) : under;
    canvas.classList.toggle("pointing", Boolean(under && (under.row || under.name || arrow >= 0)));
    showTip(hover, e);
    redraw();
    return;
  }
  pointers.set(e.pointerId, [x, y]);
  if (pointers.size === 2 && pressed.apart) {
    const [a, b] = [...pointers.values()];
    const span = (pressed.to - pressed.from) * pressed.apart / Math.max(10, Math.abs(a[0] - b[0]));
    const share = ((a[0] + b[0]) / 2 - view.gutter) / (view.width - view.gutter);
    setView(pressed.time - span * share, pressed.time + span * (1 - share));
    return;
  }
  if (Math.abs(x - pressed.x) + Math.abs(y - pressed.y) > 4) pressed.moved = true;
  if (!pressed.moved) return;
  tip.hidden = true;
  canvas.classList.add("dragging");
  const move = (x - pressed.x) / scale();
  setView(pressed.from - move, pressed.to - move);
  scroller.scrollTop = pressed.scroll - (y - pressed.y);
});

function released(e) {
  pointers.delete(e.pointerId);
  canvas.classList.remove("dragging");
  const was = pressed;
  pressed = null;
  if (!was || was.moved || e.type === "pointercancel") return;
  const [x, y] = place(e);
  const under = pick(x, y);
  if (!under) return;
  current = under.line;
  if (under.arrow >= 0) goTo(targetOf(under.arrow), under.arrow);
  else if (under.name) {
    if (lines[under.line].group && !lines[under.line].row) fold(lines[under.line].group);
  } else if (!under.row) choose(null);
  else if (under.mark !== undefined && under.row.arrowOut[under.mark] >= 0) {
    const arrow = under.row.arrowOut[under.mark];
    goTo(targetOf(arrow), arrow);
  } else choose(under.mark !== undefined ? { row: under.row, mark: under.mark } : { row: under.row, lane: under.lane, place: under.place });
  redraw();
}
canvas.addEventListener("pointerup", released);
canvas.addEventListener("pointercancel", released);
canvas.addEventListener("pointerleave", () => { tip.hidden = true; hover = null; redraw(); });
canvas.addEventListener("dblclick", () => { if (chosen && !isMark(chosen)) zoomTo(beginOf(chosen), endOf(chosen)); });

function fold(group) {
  group.open = !group.open;
  layOut();
}

function moveRow(by) {
  current = Math.max(0, Math.min(lines.length - 1, current + by));
  const line = lines[current];
  if (line.y < scroller.scrollTop) scroller.scrollTop = line.y;
  if (line.y + line.h > scroller.scrollTop + view.height - AXIS) scroller.scrollTop = line.y + line.h - view.height + AXIS;
  redraw();
}

/** The next or the previous slice of the row that keys are about. */
function moveSlice(by) {
  const { row } = lines[current];
  if (!row) return;
  const l = row.lanes[chosen && chosen.row === row && !isMark(chosen) ? chosen.lane : 0];
  if (!l.n) return;
  let number;
  if (chosen && chosen.row === row && !isMark(chosen)) number = chosen.place + by;
  else number = search(l.begin, l.n, view.from + (view.to - view.from) / 2);
  number = Math.max(0, Math.min(l.n - 1, number));
  goTo({ row, lane: row.lanes.indexOf(l), place: number });
}

function run(what) {
  const span = view.to - view.from;
  switch (what) {
    case "in": return zoom(0.6);
    case "out": return zoom(1 / 0.6);
    case "left": return setView(view.from - span * 0.2, view.to - span * 0.2);
    case "right": return setView(view.from + span * 0.2, view.to + span * 0.2);
    case "fit": return setView(0, duration);
    case "arrows":
      view.all = !view.all;
      document.querySelector("[data-do=arrows]").setAttribute("aria-pressed", view.all);
      return redraw();
    case "up": return moveRow(-1);
    case "down": return moveRow(1);
    case "previous": return moveSlice(-1);
    case "next": return moveSlice(1);
    case "follow": return follow();
    case "back": return back();
    case "none": return choose(null);
    case "enter":
      if (lines[current] && !lines[current].row) return fold(lines[current].group);
      if (chosen && !isMark(chosen)) return zoomTo(beginOf(chosen), endOf(chosen));
  }
}

const BY_KEY = {
  "+": "in", "=": "in", w: "in", "-": "out", s: "out", ArrowLeft: "left", ArrowRight: "right", d: "right",
  ArrowUp: "up", ArrowDown: "down", ",": "previous", ".": "next", Enter: "enter", " ": "enter", g: "follow", b: "back",
  0: "fit", Home: "fit", a: "arrows", Escape: "none",
};
canvas.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const what = BY_KEY[e.key.length === 1 ? e.key.toLowerCase() : e.key];
  if (!what) return;
  e.preventDefault();
  run(what);
});
for (const type of ["focus", "blur"]) canvas.addEventListener(type, redraw);
for (const button of document.querySelectorAll("[data-do]")) {
  button.addEventListener("click", () => run(button.dataset.do));
}
scroller.addEventListener("scroll", redraw);
addEventListener("resize", () => { if (rows.length) layOut(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); redraw(); });
