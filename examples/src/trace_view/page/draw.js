// Draws the timeline. What is smaller than a pixel is drawn by how much of the pixel it fills, with sums that
// data.js has made, so that a frame costs as much as the screen has pixels, however many events there are.

const canvas = $("canvas"), scroller = $("scroller"), spacer = $("spacer");
const ctx = canvas.getContext("2d");
const AXIS = 22, GROUP = 22, ROW = 22, LANE = 14, GAP = 3;
const SMALLEST_SPAN = 100;

const view = { from: 0, to: Math.max(duration, 1), width: 800, height: 320, gutter: 150, all: false };
/** What is chosen: a slice (row, lane, place) or a mark (row, place). */
let chosen = null;
/** The row that keys are about: a place in `lines`. */
let current = 0;
let hover = null;
let groups = [];
let lines = [];
let total = 0;
let colours = {};

function readColours() {
  const style = getComputedStyle(root);
  const get = (name) => style.getPropertyValue("--" + name).trim();
  colours = {};
  for (const name of ["bg", "fg", "muted", "line", "panel", "accent", "on-turn", "on-light", "arrow", "mark", "lost", "row", "hot", "runnable", "blocked", "idle"]) {
    colours[name] = get(name);
  }
  colours.turns = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => get("turn" + i));
  colours.classes = [null, "idle", "spinning", "idle", "withoutp", "running", "runnable", "blocked", "region", "other"].map((n) => n && get(n));
  colours.byName = [];
}

function turnColour(name) {
  let colour = colours.byName[name];
  if (colour === undefined) {
    let hash = 7;
    for (const c of strings[name]) hash = (hash * 31 + c.codePointAt(0)) % 1000003;
    colour = colours.byName[name] = colours.turns[hash % colours.turns.length];
  }
  return colour;
}

/** Rows by runtime and kind, as they stand below each other. */
function makeGroups() {
  const add = (title, members, fold) => {
    if (members.length) groups.push({ title, members, open: !fold });
  };
  const of = (kind, rt) => rows.filter((row) => row.kind === kind && row.runtime === rt);
  runtimes.forEach((name, rt) => {
    const prefix = runtimes.length > 1 || name ? name + " · " : "";
    const byNumber = (a, b) => a.number - b.number;
    add(prefix + "Ps", of("P", rt).sort(byNumber));
    const regions = new Map(of("R", rt).map((row) => [row.number, row]));
    const gs = of("G", rt).flatMap((row) => (regions.has(row.number) ? [row, regions.get(row.number)] : [row]));
    add(prefix + "goroutines", gs);
    add(prefix + "Ms", of("M", rt).sort(byNumber));
  });
  add("other threads", rows.filter((row) => row.kind === "T"));
}

function layOut() {
  lines = [];
  let y = 0;
  for (const group of groups) {
    lines.push({ group, y, h: GROUP });
    y += GROUP;
    if (!group.open) continue;
    for (const row of group.members) {
      const h = ROW + (row.lanes.length - 1) * LANE;
      lines.push({ row, group, y, h });
      y += h;
    }
  }
  total = y + AXIS;
  current = Math.min(current, lines.length - 1);
  resize();
}

function resize() {
  const most = Math.max(200, Math.min(innerHeight * 0.7, 900));
  scroller.style.height = Math.min(total + 4, most) + "px";
  view.width = scroller.clientWidth;
  view.height = scroller.clientHeight;
  view.gutter = view.width < 560 ? 84 : 170;
  const ratio = devicePixelRatio || 1;
  canvas.style.height = view.height + "px";
  canvas.width = Math.round(view.width * ratio);
  canvas.height = Math.round(view.height * ratio);
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  spacer.style.height = Math.max(0, total - view.height) + "px";
  redraw();
}

const scale = () => (view.width - view.gutter) / (view.to - view.from);
const xOf = (time) => view.gutter + (time - view.from) * scale();
const timeOf = (x) => view.from + (x - view.gutter) / scale();
const lineAt = (y) => {
  const down = y - AXIS + scroller.scrollTop;
  return y < AXIS ? -1 : lines.findIndex((line) => down >= line.y && down < line.y + line.h);
};
const top_ = (line) => line.y - scroller.scrollTop + AXIS;

let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); });
}

function fit(text, width) {
  const most = Math.floor(width / 6.2);
  return text.length <= most ? text : most < 3 ? "" : text.slice(0, most - 1) + "…";
}

function drawLane(l, y, h) {
  const k = scale(), left = view.gutter, right = view.width;
  const pixel = 1 / k;
  // Slices of a lane do not overlap: the ends are in order too.
  let i = search(l.end, l.n, view.from);
  while (i < l.n && l.begin[i] < view.to) {
    const wide = (l.end[i] - l.begin[i]) * k;
    const x0 = Math.max(left, xOf(l.begin[i]));
    if (wide >= 1.5) {
      const x1 = Math.min(right, xOf(l.end[i])), cls = l.cls[i];
      ctx.fillStyle = cls === TURN ? turnColour(l.name[i]) : colours.classes[cls];
      ctx.fillRect(x0, y, Math.max(1, x1 - x0 - (wide > 4 ? 1 : 0)), h);
      if (x1 - x0 > 26) {
        ctx.fillStyle = cls === IDLE || cls === ASLEEP || cls === SPINNING || cls === BLOCKED || cls === RUNNABLE ? colours["on-light"] : colours["on-turn"];
        if (cls === IDLE || cls === ASLEEP) ctx.fillStyle = colours.muted;
        if (cls === RUNNABLE) ctx.fillStyle = "#1d1f23";
        ctx.fillText(fit(strings[l.name[i]], x1 - x0 - 8), x0 + 4, y + h / 2 + 0.5);
      }
      i++;
      continue;
    }
    // All that begins in this pixel, but for a last one that goes far beyond it.
    const from = l.begin[i], x = Math.floor(x0);
    const to = timeOf(x + 1);
    let j = Math.max(i + 1, search(l.begin, l.n, to, i));
    if (j - 1 > i && (l.end[j - 1] - l.begin[j - 1]) * k >= 1.5) j--;
    const span = Math.max(pixel, l.end[j - 1] - from);
    const hot = Math.min(1, (l.hot[j] - l.hot[i]) / span), warm = Math.min(1 - hot, (l.warm[j] - l.warm[i]) / span);
    ctx.fillStyle = colours.idle;
    ctx.fillRect(x, y, 1, h);
    if (hot > 0) {
      const high = Math.max(1, hot * h);
      ctx.fillStyle = j === i + 1 && l.cls[i] === TURN ? turnColour(l.name[i]) : colours.hot;
      ctx.fillRect(x, y + h - high, 1, high);
    }
    if (warm > 0) {
      const high = Math.max(1, warm * h);
      ctx.fillStyle = colours.runnable;
      ctx.fillRect(x, y + h - Math.max(hot * h, 0) - high, 1, high);
    }
    i = j;
  }
}

function drawMarks(row, y, h) {
  const marks = row.marks;
  let i = search(marks.at, marks.n, view.from);
  while (i < marks.n && marks.at[i] <= view.to) {
    const x = xOf(marks.at[i]);
    // Where they stand close they are a shade.
    const next = search(marks.at, marks.n, timeOf(Math.floor(x) + 3), i), close = next > i + 1;
    let lost = false;
    for (let j = i; j < Math.min(next, i + 50); j++) lost ||= strings[marks.category[j]] === "trace";
    ctx.fillStyle = lost ? colours.lost : colours.mark;
    if (lost) ctx.fillRect(x - 1, y - 1, 3, h + 2);
    else if (row.kind === "R" || row.kind === "T") {
      ctx.beginPath();
      ctx.moveTo(x, y); ctx.lineTo(x + 4, y + h / 2); ctx.lineTo(x, y + h); ctx.lineTo(x - 4, y + h / 2);
      ctx.fill();
    } else {
      ctx.globalAlpha = close ? 0.3 : 1;
      ctx.fillRect(Math.round(x) - 0.5, y - 2, close ? 3 : 1, 5);
      ctx.globalAlpha = 1;
    }
    i = Math.max(i + 1, next);
  }
}

function drawAxis() {
  ctx.fillStyle = colours.panel;
  ctx.fillRect(0, 0, view.width, AXIS);
  const least = (view.to - view.from) / Math.max(1, (view.width - view.gutter) / 95);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= least);
  ctx.font = "11px system-ui, sans-serif";
  for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
    const x = Math.round(xOf(t)) + 0.5;
    ctx.strokeStyle = colours.line;
    ctx.beginPath(); ctx.moveTo(x, AXIS - 5); ctx.lineTo(x, view.height); ctx.stroke();
    ctx.fillStyle = colours.muted;
    const text = momentText(Math.round(t / step) * step);
    if (x + text.length * 6.2 < view.width) ctx.fillText(text, x + 3, AXIS / 2 - 1);
  }
  ctx.strokeStyle = colours.line;
  ctx.beginPath(); ctx.moveTo(0, AXIS - 0.5); ctx.lineTo(view.width, AXIS - 0.5); ctx.stroke();
}

/** Where an arrow goes, in pixels, or null if a row of it is folded. */
function arrowEnds(i) {
  const from = lines.find((line) => line.row === rows[arrows.fromRow[i]]);
  const to = lines.find((line) => line.row === rows[arrows.toRow[i]]);
  if (!from || !to) return null;
  const target = to.row, slice = arrows.toSlice[i];
  const l = target.lanes[target.depth[slice]];
  return {
    x0: xOf(from.row.marks.at[arrows.fromMark[i]]), y0: top_(from) + ROW / 2,
    x1: xOf(l.begin[target.place[slice]]), y1: top_(to) + ROW / 2,
  };
}

let drawn = [];
function drawArrow(i, strong) {
  const ends = arrowEnds(i);
  if (!ends) return;
  const { x0, y0, x1, y1 } = ends;
  if (!strong && y0 === y1 && x1 - x0 < 8) return;
  drawn.push({ arrow: i, ...ends });
  ctx.globalAlpha = strong ? 1 : 0.45;
  ctx.strokeStyle = ctx.fillStyle = colours.arrow;
  ctx.lineWidth = strong ? 1.75 : 1;
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.bezierCurveTo(...bend(ends), x1, y1);
  ctx.stroke();
  ctx.beginPath();
  ctx.moveTo(x1, y1); ctx.lineTo(x1 - 6, y1 - 3.5); ctx.lineTo(x1 - 6, y1 + 3.5);
  ctx.fill();
  ctx.globalAlpha = 1;
  ctx.lineWidth = 1;
}

function bend({ x0, y0, x1, y1 }) {
  const far = Math.abs(x1 - x0), out = y0 === y1 ? far / 3 : Math.max(8, Math.min(90, far / 2));
  const lift = y0 === y1 ? -Math.min(14, far / 4) : 0;
  return [x0 + out, y0 + lift, x1 - out, y1 + lift];
}

const MOST_ARROWS = 400;
function arrowsInView() {
  const found = [];
  for (const line of lines) {
    if (!line.row || top_(line) > view.height || top_(line) + line.h < AXIS) continue;
    const marks = line.row.marks;
    for (let i = search(marks.at, marks.n, view.from); i < marks.n && marks.at[i] <= view.to; i++) {
      if (line.row.arrowOut[i] >= 0) found.push(line.row.arrowOut[i]);
      if (found.length > MOST_ARROWS) return [];
    }
  }
  return found;
}

function draw() {
  ctx.fillStyle = colours.panel;
  ctx.fillRect(0, 0, view.width, view.height);
  ctx.textBaseline = "middle";
  drawAxis();
  const clip = (x, y, w, h, what) => {
    ctx.save();
    ctx.beginPath(); ctx.rect(x, y, w, h); ctx.clip();
    what();
    ctx.restore();
  };
  clip(0, AXIS, view.width, view.height - AXIS, () => {
    lines.forEach((line, number) => {
      const y = top_(line);
      if (y > view.height || y + line.h < AXIS) return;
      const here = number === current && document.activeElement === canvas;
      if (line.row) {
        ctx.font = "11px system-ui, sans-serif";
        clip(view.gutter, y, view.width - view.gutter, line.h, () => {
          line.row.lanes.forEach((l, depth) => {
            const top = y + GAP + (depth && ROW - GAP + (depth - 1) * LANE);
            drawLane(l, top, depth ? LANE - 2 : ROW - 2 * GAP);
          });
          drawMarks(line.row, y + GAP, line.h - 2 * GAP);
        });
        ctx.font = (here ? "bold " : "") + "12px system-ui, sans-serif";
        ctx.fillStyle = here ? colours.accent : colours.fg;
        const indent = line.row.kind === "R" ? 22 : 12;
        const name = line.row.kind === "R" ? "regions" : line.row.name;
        ctx.fillText(fit(name, view.gutter - indent - 4), indent, y + ROW / 2);
      } else {
        ctx.fillStyle = colours.row;
        ctx.fillRect(0, y, view.width, line.h);
        ctx.font = "600 12px system-ui, sans-serif";
        ctx.fillStyle = here ? colours.accent : colours.fg;
        const count = line.group.members.filter((row) => row.kind !== "R").length;
        ctx.fillText((line.group.open ? "▾ " : "▸ ") + line.group.title + " (" + count + ")", 4, y + line.h / 2);
      }
    });
  });
  drawn = [];
  clip(view.gutter, AXIS, view.width - view.gutter, view.height - AXIS, () => {
    if (view.all) for (const i of arrowsInView()) drawArrow(i, false);
    if (chosen) {
      outline(chosen, colours.fg, 2);
      for (const i of arrowsOf(chosen)) drawArrow(i, true);
    }
    if (hover && hover.row) outline(hover, colours.muted, 1);
  });
}

function outline(thing, colour, width) {
  const line = lines.find((line) => line.row === thing.row);
  if (!line) return;
  const y = top_(line);
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  if (thing.mark !== undefined) {
    const x = xOf(thing.row.marks.at[thing.mark]);
    ctx.strokeRect(x - 4, y + 1, 8, line.h - 2);
  } else {
    const l = thing.row.lanes[thing.lane];
    const x0 = Math.max(view.gutter - 3, xOf(l.begin[thing.place])), x1 = Math.min(view.width + 3, xOf(l.end[thing.place]));
    const top = y + (thing.lane ? ROW + (thing.lane - 1) * LANE : GAP);
    ctx.strokeRect(x0 - 1, top - 1, Math.max(3, x1 - x0 + 1), (thing.lane ? LANE - 2 : ROW - 2 * GAP) + 2);
  }
  ctx.lineWidth = 1;
}
