// What is under the pointer, what is chosen, what is said of it, and the ways along arrows.

const sliceOf = (row, number) => ({ row, lane: row.depth[number], place: row.place[number] });
const isMark = (thing) => thing.mark !== undefined;
const beginOf = (thing) => (isMark(thing) ? thing.row.marks.at[thing.mark] : thing.row.lanes[thing.lane].begin[thing.place]);
const endOf = (thing) => (isMark(thing) ? thing.row.marks.at[thing.mark] : thing.row.lanes[thing.lane].end[thing.place]);
const argsOf = (thing) => argsAt(isMark(thing) ? thing.row.marks.args[thing.mark] : thing.row.lanes[thing.lane].args[thing.place]);

function titleOf(thing) {
  const { row } = thing;
  return strings[isMark(thing) ? row.marks.name[thing.mark] : row.lanes[thing.lane].name[thing.place]];
}

/** The turn on a P that a turn on an M, or the running of a goroutine, is the other side of. */
function turnOf(thing) {
  if (isMark(thing) || thing.row.kind === "P") return thing;
  const cls = thing.row.lanes[thing.lane].cls[thing.place];
  if (cls !== TURN && cls !== RUNNING) return thing;
  const p = argsOf(thing).find(([key]) => key === "p");
  const row = p && rows.find((row) => row.kind === "P" && row.runtime === thing.row.runtime && row.number === p[1]);
  if (!row) return thing;
  const l = row.lanes[0], place = sliceAt(l, beginOf(thing));
  return place >= 0 && l.begin[place] === beginOf(thing) ? { row, lane: 0, place } : thing;
}

const MOST_OUT = 100;

/** Arrows that leave from a thing: from a mark its own, from a slice those of the marks in it. */
function arrowsFrom(thing) {
  if (isMark(thing)) return thing.row.arrowOut[thing.mark] >= 0 ? [thing.row.arrowOut[thing.mark]] : [];
  const turn = turnOf(thing), { marks } = turn.row, found = [];
  if (turn.row.lanes[turn.lane].cls[turn.place] !== TURN) return found;
  const end = endOf(turn);
  for (let i = search(marks.at, marks.n, beginOf(turn)); i < marks.n && marks.at[i] <= end && found.length < MOST_OUT; i++) {
    if (turn.row.arrowOut[i] >= 0) found.push(turn.row.arrowOut[i]);
  }
  return found;
}

/** The arrow that leads to a slice, or -1. */
function arrowTo(thing) {
  if (isMark(thing)) return -1;
  const turn = turnOf(thing);
  return turn.row.arrowIn[turn.row.lanes[turn.lane].number[turn.place]];
}

function arrowsOf(thing) {
  const to = arrowTo(thing);
  return to >= 0 ? [to, ...arrowsFrom(thing)] : arrowsFrom(thing);
}

/** What is under a place of the canvas. */
function pick(x, y) {
  const number = lineAt(y);
  if (number < 0) return null;
  const line = lines[number];
  if (!line.row || x < view.gutter) return { line: number, name: true };
  const near = nearArrow(x, y);
  if (near >= 0) return { line: number, arrow: near };
  const { row } = line, { marks } = row, time = timeOf(x), reach = 4 / scale();
  let best = -1;
  for (let i = search(marks.at, marks.n, time - reach), n = 0; i < marks.n && marks.at[i] <= time + reach && n < 50; i++, n++) {
    if (best < 0 || Math.abs(marks.at[i] - time) < Math.abs(marks.at[best] - time)) best = i;
  }
  const down = y - top_(line);
  const markHigh = row.kind === "R" || row.kind === "T" || down < 9 || strings[marks.category[best]] === "trace";
  if (best >= 0 && markHigh) return { line: number, row, mark: best };
  const lane = down < ROW ? 0 : Math.min(row.lanes.length - 1, 1 + Math.floor((down - ROW) / LANE));
  const l = row.lanes[lane];
  let place = sliceAt(l, time);
  if (place < 0) {
    const next = search(l.begin, l.n, time);
    if (next < l.n && l.begin[next] <= time + reach) place = next;
    else if (next > 0 && l.end[next - 1] >= time - reach) place = next - 1;
  }
  return place >= 0 ? { line: number, row, lane, place } : { line: number };
}

/** The arrow that is drawn within some pixels of a place, or -1. */
function nearArrow(x, y) {
  for (const ends of drawn) {
    if (x < Math.min(ends.x0, ends.x1) - 100 || x > Math.max(ends.x0, ends.x1) + 100) continue;
    const [bx, by, cx, cy] = bend(ends);
    for (let t = 0.05; t < 1; t += 0.02) {
      const u = 1 - t;
      const px = u * u * u * ends.x0 + 3 * u * u * t * bx + 3 * u * t * t * cx + t * t * t * ends.x1;
      const py = u * u * u * ends.y0 + 3 * u * u * t * by + 3 * u * t * t * cy + t * t * t * ends.y1;
      if (Math.abs(px - x) < 4 && Math.abs(py - y) < 4) return ends.arrow;
    }
  }
  return -1;
}

function argText(key, value) {
  if (key === "object" && value === "0x0") return "unknown";
  if ((key === "p" || key === "m") && (value === 65535 || value === 4294967295)) return "none";
  if (key === "p") return "P" + value;
  if (key === "m") return "M" + value;
  if ((key === "g" || key === "waker" || key === "parent") && value > 0) return goroutineText(value);
  return String(value);
}

const KEYS = { g: "goroutine", p: "on", m: "by thread", end: "ended by", wait: "waits for", object: "object", why: "why", waker: "woken by", by: "by", g_: "" };

/** Pairs of words about a thing. */
function facts(thing) {
  const pairs = [];
  if (isMark(thing)) {
    pairs.push(["at", momentText(beginOf(thing))], ["category", strings[thing.row.marks.category[thing.mark]]]);
  } else {
    const begin = beginOf(thing), end = endOf(thing);
    pairs.push(["lasts", timeText(end - begin, 4)], ["from", momentText(begin)], ["to", momentText(end)]);
    const what = CLASSES[thing.row.lanes[thing.lane].cls[thing.place]];
    if (what && what !== titleOf(thing)) pairs.push(["what", what]);
  }
  for (const [key, value] of argsOf(thing)) pairs.push([KEYS[key] || key, argText(key, value)]);
  return pairs;
}

function element(tag, text, parent) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (parent) parent.append(e);
  return e;
}

function describe(thing, to) {
  to.textContent = "";
  const head = element("div", undefined, to);
  element("b", titleOf(thing), head);
  element("span", " · " + (thing.row.kind === "R" ? "regions of " : "") + thing.row.name, head).className = "muted";
  const list = element("dl", undefined, to);
  list.className = "pairs";
  for (const [key, value] of facts(thing)) {
    const pair = element("div", undefined, list);
    element("dt", key + " ", pair);
    element("dd", value, pair);
  }
}

function targetOf(arrow) {
  return sliceOf(rows[arrows.toRow[arrow]], arrows.toSlice[arrow]);
}
function sourceOf(arrow) {
  return { row: rows[arrows.fromRow[arrow]], mark: arrows.fromMark[arrow] };
}

function showDetails() {
  const to = $("details");
  if (!chosen) {
    to.innerHTML = '<p class="muted">Nothing is chosen.</p>';
    return;
  }
  describe(chosen, to);
  const go = element("div", undefined, to);
  go.className = "go";
  const button = (text, what) => {
    const b = element("button", text, go);
    b.type = "button";
    b.addEventListener("click", what);
  };
  const into = arrowTo(chosen);
  if (into >= 0) {
    const from = sourceOf(into);
    button("← " + titleOf(from) + " on " + from.row.name + ", " + timeText(beginOf(chosen) - beginOf(from)) + " before", () => goTo(from, into));
  }
  const out = arrowsFrom(chosen);
  for (const arrow of out.slice(0, 8)) {
    const target = targetOf(arrow);
    const after = beginOf(target) - beginOf(sourceOf(arrow));
    button("→ " + titleOf(target) + " on " + target.row.name + ", after " + timeText(after), () => goTo(target, arrow));
  }
  if (out.length > 8) element("span", "and " + (out.length - 8) + (out.length >= MOST_OUT ? " or more" : "") + " others", go).className = "muted";
  if (!isMark(chosen)) button("zoom to it", () => zoomTo(beginOf(chosen), endOf(chosen)));
}

function choose(thing) {
  chosen = thing;
  if (thing) current = Math.max(0, lines.findIndex((line) => line.row === thing.row));
  showDetails();
  redraw();
}

function setView(from, to) {
  const span = Math.min(Math.max(to - from, SMALLEST_SPAN), Math.max(duration * 1.04, SMALLEST_SPAN));
  const middle = (from + to) / 2;
  const margin = duration * 0.02;
  from = Math.max(-margin, Math.min(middle - span / 2, duration + margin - span));
  view.from = from;
  view.to = from + span;
  $("range").textContent = momentText(Math.max(0, Math.round(view.from))) + " – " + momentText(Math.min(duration, Math.round(view.to))) + " (" + timeText(view.to - view.from) + ")";
  redraw();
}

function zoom(factor, x = (view.gutter + view.width) / 2) {
  const time = timeOf(x);
  const span = Math.max((view.to - view.from) * factor, SMALLEST_SPAN);
  const share = (x - view.gutter) / (view.width - view.gutter);
  setView(time - span * share, time + span * (1 - share));
}

function zoomTo(begin, end) {
  const more = Math.max((end - begin) * 0.3, SMALLEST_SPAN / 2);
  setView(begin - more, end + more);
}

/** Unfolds the group of a row, and scrolls to it. */
function reveal(row) {
  const group = groups.find((group) => group.members.includes(row));
  if (group && !group.open) {
    group.open = true;
    layOut();
  }
  const line = lines.find((line) => line.row === row);
  if (!line) return;
  const y = line.y - scroller.scrollTop;
  if (y < 0 || y + line.h > view.height - AXIS) scroller.scrollTop = line.y - view.height / 3;
}

/** Chooses a thing and brings it into view, with the arrow that led to it if both fit. */
function goTo(thing, arrow = -1) {
  reveal(thing.row);
  choose(thing);
  const begin = beginOf(thing), span = view.to - view.from;
  let from = begin, to = begin;
  if (arrow >= 0) {
    from = Math.min(beginOf(sourceOf(arrow)), beginOf(targetOf(arrow)));
    to = Math.max(beginOf(sourceOf(arrow)), beginOf(targetOf(arrow)));
  }
  if (to - from > span * 0.8) [from, to] = [begin, begin];
  if (from < view.from + span * 0.05 || to > view.to - span * 0.05) {
    setView((from + to) / 2 - span / 2, (from + to) / 2 + span / 2);
  }
}

function follow() {
  const out = chosen ? arrowsFrom(chosen) : [];
  if (out.length) goTo(targetOf(out[0]), out[0]);
}

function back() {
  const into = chosen ? arrowTo(chosen) : -1;
  if (into >= 0) goTo(sourceOf(into), into);
}
