import { el } from "./dom.js";

// A table. Columns: {head, value: row => sortable, show: row => text or element, number: right-aligned}. Options:
// `sortable`: a click on a head sorts, unless the column is `plain`; `caption`; `mark: row => class`; `limit`: rows shown before "show all".
export function table(columns, rows, options = {}) {
  let shown = [...rows];
  let by = null;
  let down = false;
  let limit = options.limit ?? Infinity;
  const body = el("tbody");
  const more = el("button", { type: "button", class: "more", on: { click: () => { limit = Infinity; fill(); } } });
  const heads = columns.map((column) => {
    if (!options.sortable || column.plain) return el("th", { scope: "col", class: column.number && "number" }, column.head);
    const button = el("button", { type: "button", on: { click: () => sort(column) } }, column.head);
    return el("th", { scope: "col", class: column.number && "number" }, button);
  });

  function sort(column) {
    down = by === column ? !down : Boolean(column.number);
    by = column;
    fill();
  }

  function fill() {
    if (by) shown.sort((a, b) => compare(by.value(a), by.value(b), down ? -1 : 1));
    columns.forEach((column, place) => {
      if (options.sortable && !column.plain) heads[place].setAttribute("aria-sort", column !== by ? "none" : down ? "descending" : "ascending");
    });
    body.replaceChildren(...shown.slice(0, limit).map((row) => el("tr", { class: options.mark?.(row) }, columns.map((column, place) => {
      const cell = (column.show ?? column.value)(row);
      return el(place === 0 && !options.sortable ? "th" : "td", { scope: place === 0 && !options.sortable ? "row" : null, class: column.number && "number" }, cell);
    }))));
    more.textContent = `show all ${shown.length}`;
    more.hidden = shown.length <= limit;
  }

  fill();
  const element = el("div", { class: "scroll" },
    el("table", {}, options.caption && el("caption", {}, options.caption), el("thead", {}, el("tr", {}, heads)), body), more);
  return { element, show(chosen) { shown = [...chosen]; fill(); } };
}

// What is missing comes last in both directions.
function compare(a, b, direction) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return direction * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
}

// Something that is there in figures too: closed at first, made when it is opened.
export function inFigures(make, summary = "Table") {
  const details = el("details", { class: "figures" }, el("summary", {}, summary));
  details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) details.append(make()); });
  return details;
}
