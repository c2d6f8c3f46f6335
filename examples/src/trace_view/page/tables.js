// Tables that can be sorted and lead to the timeline, and the start of everything.

/** Brings a stretch of a track into view. */
function jumpTo(begin, end, row) {
  reveal(row);
  zoomTo(begin, end);
  let found = null;
  row.lanes.slice(0, 1).forEach((l, lane) => {
    // On a goroutine's own track it is the wait; on others the turn that ended with it.
    let place = sliceAt(l, row.kind === "G" ? (begin + end) / 2 : begin);
    if (place < 0) place = search(l.begin, l.n, begin) - 1;
    if (place >= 0) found = { row, lane, place };
  });
  const { marks } = row, mark = search(marks.at, marks.n, begin);
  if (begin === end && mark < marks.n && marks.at[mark] === begin) found = { row, mark };
  if (found && !isMark(found) && row.kind === "M") {
    found = turnOf(found);
    reveal(found.row);
  }
  choose(found);
  $("timeline").scrollIntoView();
  canvas.focus({ preventScroll: true });
}

/** Brings a goroutine into view: on its own track, or where it first ran. */
function findGoroutine(id) {
  const own = rows.find((row) => row.kind === "G" && row.number === id);
  if (own) {
    const l = own.lanes[0];
    return l.n ? jumpTo(l.begin[0], l.end[l.n - 1], own) : reveal(own);
  }
  for (const row of rows.filter((row) => row.kind === "P")) {
    const l = row.lanes[0];
    for (let i = 0; i < l.n; i++) {
      if (l.cls[i] !== TURN) continue;
      if (argsAt(l.args[i]).some(([key, value]) => key === "g" && value === id)) return jumpTo(l.begin[i], l.end[i], row);
    }
  }
}

document.addEventListener("click", (e) => {
  const button = e.target.closest("button");
  if (!button || !rows.length) return;
  if (button.dataset.jump) {
    const [begin, end, track] = button.dataset.jump.split(",").map(Number);
    jumpTo(begin, end, rows[track]);
  } else if (button.dataset.goroutine) findGoroutine(Number(button.dataset.goroutine));
});

for (const svg of document.querySelectorAll("figure svg")) {
  svg.addEventListener("click", (e) => {
    const box = svg.getBoundingClientRect();
    const time = (e.clientX - box.left) / box.width * Number(svg.dataset.span);
    setView(time - duration / 40, time + duration / 40);
    $("timeline").scrollIntoView();
  });
}

function sortBy(table, column, header) {
  const down = header.getAttribute("aria-sort") === "none" ? header.classList.contains("n") : header.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (tr) => {
    const cell = tr.cells[column];
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  };
  const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  const sorted = [...table.tBodies[0].rows].sort((a, b) => (down ? -1 : 1) * order(value(a), value(b)));
  table.tBodies[0].append(...sorted);
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.textContent = "";
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sortBy(table, column, header));
  });
}

const list = document.createElement("datalist");
list.id = "names";
for (const name of new Set(names.values())) element("option", undefined, list).value = name;
document.body.append(list);

$("find").addEventListener("change", (e) => {
  const text = e.target.value.trim();
  if (!text) return;
  const id = /^G?(\d+)$/i.exec(text);
  if (id) return findGoroutine(Number(id[1]));
  const known = words.goroutines.find(([, name]) => name === text) || words.goroutines.find(([, name]) => name.includes(text));
  if (known) findGoroutine(known[0]);
});

load().then(() => {
  readColours();
  makeGroups();
  current = groups.length > 0 ? Math.min(1, groups[0].members.length) : 0;
  layOut();
  setView(0, duration);
  draw();
  const count = (row) => row.lanes.reduce((n, l) => n + l.n, 0) + row.marks.n;
  root.dataset.ready = String(rows.reduce((n, row) => n + count(row), 0));
  root.dataset.arrows = String(words.arrows);
});
