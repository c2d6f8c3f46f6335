// Unpacks the events: see pack.rs for how they are packed. Rows have lanes, one for each depth of slices,
// whose times are plain arrays that can be searched.

const $ = (id) => document.getElementById(id);
const root = document.documentElement;

/** Says in the page that something is wrong with the page itself. */
function failed(why) {
  root.dataset.error = String(why);
  const p = document.createElement("p");
  p.className = "warn";
  p.textContent = "The timeline cannot be shown: " + why;
  $("timeline").prepend(p);
}
window.addEventListener("error", (e) => failed(e.message));
window.addEventListener("unhandledrejection", (e) => failed(e.reason));

const words = JSON.parse($("words").textContent);
const { strings, duration, runtimes } = words;
const names = new Map(words.goroutines);

// The classes of slices, in the order of model.rs.
const TURN = 0, IDLE = 1, SPINNING = 2, ASLEEP = 3, WITHOUT_P = 4, RUNNING = 5, RUNNABLE = 6, BLOCKED = 7, REGION = 8;
const CLASSES = ["a goroutine runs", "idle", "looks for work", "asleep", "runs without P", "runs", "could run", "waits", "region", ""];
const HOT = [1, 0, 0, 0, 1, 1, 0, 0, 1, 1];
const WARM = [0, 0, 1, 0, 0, 0, 1, 0, 0, 0];

let bytes = new Uint8Array(0);
let at = 0;

function varint() {
  let n = 0, scale = 1, byte;
  do {
    byte = bytes[at++];
    n += (byte & 127) * scale;
    scale *= 128;
  } while (byte > 127);
  return n;
}

function skipArgs() {
  for (let n = varint(); n > 0; n--) { varint(); varint(); }
}

/** The arguments at a place of the stream: pairs of a key and a text or a number. */
function argsAt(place) {
  at = place;
  const args = [];
  for (let n = varint(); n > 0; n--) {
    const key = strings[varint()], packed = varint();
    const kind = packed % 4, value = Math.floor(packed / 4);
    args.push([key, kind === 2 ? strings[value] : kind === 1 ? "0x" + value.toString(16) : value]);
  }
  return args;
}

function lane(n) {
  return {
    n: 0, number: new Uint32Array(n), begin: new Float64Array(n), end: new Float64Array(n), cls: new Uint8Array(n),
    name: new Uint32Array(n), args: new Uint32Array(n), hot: new Float64Array(n + 1), warm: new Float64Array(n + 1),
  };
}

function readRow(track, number) {
  const row = { ...track, id: number, lanes: [], open: true };
  const n = track.slices, start = at;
  row.depth = new Uint8Array(n);
  row.place = new Uint32Array(n);
  const sizes = [];
  for (let i = 0; i < n; i++) {
    varint(); varint();
    const depth = row.depth[i] = varint();
    row.place[i] = sizes[depth] = (sizes[depth] || 0) + 1;
    row.place[i]--;
    varint(); varint(); skipArgs();
  }
  for (let d = 0; d < Math.max(1, sizes.length); d++) row.lanes.push(lane(sizes[d] || 0));
  at = start;
  let time = 0;
  for (let i = 0; i < n; i++) {
    time += varint();
    const end = time + varint(), l = row.lanes[varint()], k = l.n++;
    const cls = varint();
    l.number[k] = i; l.begin[k] = time; l.end[k] = end; l.cls[k] = cls;
    l.name[k] = varint(); l.args[k] = at;
    l.hot[k + 1] = l.hot[k] + HOT[cls] * (end - time);
    l.warm[k + 1] = l.warm[k] + WARM[cls] * (end - time);
    skipArgs();
  }
  const m = track.instants;
  row.marks = { n: m, at: new Float64Array(m), category: new Uint32Array(m), name: new Uint32Array(m), args: new Uint32Array(m) };
  time = 0;
  for (let i = 0; i < m; i++) {
    time += varint();
    row.marks.at[i] = time; row.marks.category[i] = varint(); row.marks.name[i] = varint(); row.marks.args[i] = at;
    skipArgs();
  }
  row.arrowOut = new Int32Array(m).fill(-1);
  row.arrowIn = new Int32Array(n).fill(-1);
  return row;
}

let rows = [];
const arrows = { fromRow: null, fromMark: null, toRow: null, toSlice: null };

async function load() {
  const text = atob($("data").textContent);
  $("data").textContent = "";
  const zipped = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) zipped[i] = text.charCodeAt(i);
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  rows = words.tracks.map(readRow);
  const n = words.arrows;
  for (const key of Object.keys(arrows)) arrows[key] = new Uint32Array(n);
  for (let i = 0; i < n; i++) {
    const from = rows[arrows.fromRow[i] = varint()];
    from.arrowOut[arrows.fromMark[i] = varint()] = i;
    const to = rows[arrows.toRow[i] = varint()];
    to.arrowIn[arrows.toSlice[i] = varint()] = i;
  }
}

/** The first place of a sorted array, below n, whose value is not below x; from a place that is known to be before it. */
function search(array, n, x, from = 0) {
  let step = 1, low = from;
  while (low + step < n && array[low + step] < x) { low += step; step *= 2; }
  let high = Math.min(n, low + step);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (array[middle] < x) low = middle + 1; else high = middle;
  }
  return low;
}

/** The slice of a lane at a time, or -1. */
function sliceAt(l, time) {
  const i = search(l.begin, l.n, time + 1e-9) - 1;
  return i >= 0 && l.end[i] >= time ? i : -1;
}

const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

function timeText(ns, digits = 3) {
  const unit = UNITS.find(([size]) => Math.abs(ns) >= size * 0.9995) || UNITS[3];
  const value = ns / unit[0];
  return (unit[0] === 1 ? Math.round(value) : Number(value.toPrecision(digits))) + " " + unit[1];
}

/** A moment, fine enough for what is in view. */
function momentText(ns) {
  return timeText(ns, 9);
}

function goroutineText(id) {
  const name = names.get(Number(id));
  return name ? name + " (G" + id + ")" : "G" + id;
}
