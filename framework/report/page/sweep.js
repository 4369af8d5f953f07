import { el, section } from "./dom.js";
import { count, digits } from "./format.js";
import { choice, copyable, verdictWord } from "./parts.js";
import { isWide, scaled } from "./scale.js";
import { start } from "./start.js";
import { scatter, strips } from "./strips.js";
import { inFigures, table } from "./table.js";

const MANY = 12; // values of an axis of numbers beyond which it is continuous
const PANELS = 24;
const SIGNS = { invalid: "✕", unknown: "▲" };
const ALL = "";

function page(data) {
  data.measures.forEach((measure, place) => { measure.place = place; }); // in the known and quantiles of a combination
  const tray = el("div", { class: "tray", hidden: true, role: "status" });
  const show = (failure) => { tray.hidden = false; tray.replaceChildren(details(failure), el("button", { type: "button", on: { click: () => { tray.hidden = true; } } }, "Close")); };
  const parts = [
    ["reasons", "Reasons against valid", reasons(data, show), data.groups.length > 0],
    ["measures", "Measures", measures(data, show), data.runs > 0],
    ["runs", "Runs", runs(data, show), data.runs > 0],
    ["settings", "Settings that all runs share", [table([{ head: "setting", value: (row) => row.key }, { head: "value", value: (row) => row.value }], data.settings).element], data.settings.length > 0],
  ].filter(([, , , isThere]) => isThere);
  return [header(data), el("nav", { "aria-label": "Parts of this report" }, parts.map(([id, heading]) => el("a", { href: `#${id}` }, heading))),
    ...parts.map(([id, heading, content]) => section(id, heading, null, ...content)), tray];
}

function header(data) {
  return el("header", {}, el("h1", {}, data.title), el("p", { class: "sub" }, data.subtitle),
    el("div", { class: `verdict ${data.verdict}`, role: "status" }, verdictWord(data.verdict), el("span", {}, data.summary),
      el("span", { class: "controls" }, data.counts.map((one) => el("span", {}, `${count(one.runs)} `, verdictWord(one.verdict))))),
    el("h3", {}, "To continue it, or to add to it"), copyable(data.command));
}

function reasons(data, show) {
  return [table([
    { head: "verdict", value: (row) => row.verdict, show: (row) => el("span", { class: "nowrap" }, verdictWord(row.verdict)) },
    { head: "runs", number: true, value: (row) => row.runs, show: (row) => count(row.runs) },
    { head: "reason", value: (row) => row.kind, show: (row) => el("div", { class: "reason" }, row.kind) },
    { head: "for example", value: () => "", show: (row) => el("ul", { class: "plain" }, row.examples.map((place) => el("li", {}, run(data.failures[place], show)))) },
  ], data.groups, { limit: 20 }).element];
}

// A run that is not valid: a link to its folder or report, else a button that shows its command.
function run(failure, show) {
  const name = `${failure.label}, seed=${failure.seed}`;
  return failure.link ? el("a", { href: failure.link }, name) : el("button", { type: "button", class: "linkish", on: { click: () => show(failure) } }, name);
}

function details(failure) {
  return el("div", { class: "details" }, el("p", {}, verdictWord(failure.verdict), ` ${failure.label}, seed=${failure.seed}: ${failure.reason}`), copyable(failure.command));
}

// Measures.

function measures(data, show) {
  const state = { across: usual(data), filters: data.axes.map(() => ALL), more: ALL, log: "auto" };
  const controls = el("div", { class: "controls" });
  const figures = el("div");
  const of = new Map(data.measures.map((one) => [one.key, one]));
  const change = (key, value) => { state[key] = value; draw(); };

  function draw() {
    const shown = [...data.shown, ...(state.more && !data.shown.includes(state.more) ? [state.more] : [])];
    figures.replaceChildren(...shown.map((key) => figure(data, of.get(key), state, show)));
  }

  function fill() {
    const others = data.measures.filter((one) => !data.shown.includes(one.key));
    controls.replaceChildren(...[
      data.axes.length > 1 && choice("Axis", data.axes.map((axis, place) => ({ value: String(place), label: axis.key })), String(state.across), (value) => { state.across = Number(value); state.filters[state.across] = ALL; fill(); draw(); }),
      ...data.axes.map((axis, place) => place !== state.across && axis.values.length <= 200 && choice(axis.key, [{ value: ALL, label: "all" }, ...axis.values.map((value, number) => ({ value: String(number), label: value }))], state.filters[place], (value) => { state.filters[place] = value; draw(); })),
      choice("Also show", [{ value: ALL, label: "–" }, ...others.map((one) => ({ value: one.key, label: one.label }))], state.more, (value) => change("more", value)),
      choice("Scale", [{ value: "auto", label: "as it fits" }, { value: "linear", label: "linear" }, { value: "log", label: "logarithmic" }], state.log, (value) => change("log", value)),
    ].filter(Boolean));
  }

  fill();
  draw();
  const all = data.points.seed.length;
  return [controls, el("p", { class: "sub" },
    "● a valid run   ", el("span", { class: "word invalid" }, "✕"), " invalid   ", el("span", { class: "word unknown" }, "▲"), " unknown   ○ no verdict. Box: 25th to 75th percentile and median; whiskers: 10th and 90th percentile.",
    all < data.runs ? ` ${count(all)} of ${count(data.runs)} runs are shown as points; boxes are of all.` : "",
    data.combinations_left_out ? ` ${count(data.combinations_left_out)} combinations are left out.` : ""), figures];
}

function isContinuous(axis) {
  return axis.numbers !== null && axis.values.length > MANY;
}

// The axis of the rows: one of many numbers if there is one, else that with most values, the last of several.
function usual({ axes }) {
  const continuous = axes.findIndex(isContinuous);
  if (continuous >= 0 || !axes.length) return Math.max(continuous, 0);
  const most = Math.max(...axes.map((axis) => axis.values.length));
  return axes.findLastIndex((axis) => axis.values.length === most);
}

function figure(data, measure, state, show) {
  const combinations = data.combinations.map((one, place) => ({ ...one, place })).filter((one) => state.filters.every((value, axis) => value === ALL || one.places[axis] === Number(value)));
  const points = data.points;
  const chosen = new Set(combinations.map((one) => one.place));
  const drawn = points.seed.map((_, place) => place).filter((place) => chosen.has(points.combination[place]) && points.values[measure.key][place] !== null);
  const values = [...drawn.map((place) => points.values[measure.key][place]), ...combinations.flatMap((one) => one.quantiles[measure.place] ?? [])];
  const log = state.log === "log" || (state.log === "auto" && isWide(values));
  const scale = scaled(values, { log });
  const across = data.axes[state.across];
  const facets = facetsOf(data, combinations, state.across);
  const lacking = combinations.reduce((sum, one) => sum + Object.values(one.runs).reduce((all, many) => all + many, 0) - one.known[measure.place], 0);
  const zeros = log ? drawn.filter((place) => points.values[measure.key][place] <= 0).length : 0;
  const panels = facets.slice(0, PANELS).map((facet) => {
    const plot = el("div", { class: "plot" });
    const content = panel(data, measure, facet, drawn, show, state.across);
    const name = [measure.label, facet.label].filter(Boolean).join(", ");
    if (across && isContinuous(across)) scatter(plot, { ...flat(content, across, state.across, data), across: across.unit ? `${across.key} (${across.unit})` : across.key, log: isWide(across.numbers) }, scale, name);
    else strips(plot, content, scale, name);
    return el("div", { class: "panel" }, facet.label && el("h4", {}, facet.label), plot);
  });
  return el("figure", { class: "measure" },
    el("figcaption", {}, measure.label, el("span", { class: "note" }, `${measure.unit}${log ? ", logarithmic" : ""}${across ? ` · ${isContinuous(across) ? "over" : "rows:"} ${across.key}` : ""}${lacking ? ` · ${count(lacking)} ${lacking === 1 ? "run has" : "runs have"} no value` : ""}${zeros ? ` · ${count(zeros)} at zero are at the left edge` : ""}`)),
    values.length ? el("div", { class: "grid" }, panels) : el("p", { class: "missing" }, "No run has a value."),
    facets.length > PANELS && el("p", { class: "sub" }, `${count(facets.length - PANELS)} more panels: choose values above.`),
    inFigures(() => numbers(data, measure, combinations)));
}

// A panel for each combination of the other axes, without those of many numbers.
function facetsOf(data, combinations, across) {
  const by = data.axes.map((axis, place) => ({ ...axis, place })).filter((axis) => axis.place !== across && !isContinuous(axis) && axis.values.length > 1);
  const facets = new Map();
  for (const one of combinations) {
    const label = by.map((axis) => `${axis.key}=${axis.values[one.places[axis.place]]}`).join(", ");
    if (!facets.has(label)) facets.set(label, { label, order: by.map((axis) => one.places[axis.place]), combinations: [] });
    facets.get(label).combinations.push(one);
  }
  return [...facets.values()].sort((a, b) => a.order.reduce((found, place, number) => found || place - b.order[number], 0));
}

function panel(data, measure, facet, drawn, show, across) {
  const { points } = data;
  const rows = new Map();
  const pooled = isContinuous(data.axes[across] ?? { numbers: null });
  for (const one of facet.combinations) {
    const axis = data.axes[across];
    const quantiles = one.quantiles[measure.place];
    const bad = Object.entries(one.runs).filter(([name]) => name !== "valid");
    const label = axis ? axis.values[one.places[across]] : "all runs";
    rows.set(one.place, {
      place: one.place, label: label === "" ? "(empty)" : label, dots: [], marks: [], quantiles: quantiles && quantiles.length > 1 && one.known[measure.place] > 2 ? quantiles : null,
      counts: pooled ? null : counted(bad),
      title: `${label}: ${count(one.known[measure.place])} runs with a value${quantiles ? `, median ${digits(quantiles[3] ?? quantiles[0], 4)} ${measure.unit}` : ""}${quantiles?.length > 1 ? `, 10th to 90th percentile ${digits(quantiles[1], 4)} to ${digits(quantiles[5], 4)}` : ""}`,
    });
  }
  for (const place of drawn) {
    const row = rows.get(points.combination[place]);
    if (!row) continue;
    const value = points.values[measure.key][place];
    const standing = points.standings[points.standing[place]];
    const spread = jitter(points.seed[place]);
    if (standing === "valid") row.dots.push({ value, spread });
    else {
      const failure = data.failures[points.failure[place]];
      const title = `${standing}: ${failure ? `${failure.label}, seed=${failure.seed}: ${failure.reason}` : `seed=${points.seed[place]}`}`;
      row.marks.push({ value, spread, standing, title, href: failure?.link, click: () => failure && show(failure) });
    }
  }
  const found = [...rows.values()];
  return across < data.axes.length ? found.sort((a, b) => data.combinations[a.place].places[across] - data.combinations[b.place].places[across]) : found;
}

function flat(rows, axis, across, data) {
  const at = (row) => axis.numbers[data.combinations[row.place].places[across]];
  return { dots: rows.flatMap((row) => row.dots.map((dot) => ({ ...dot, at: at(row) }))), marks: rows.flatMap((row) => row.marks.map((mark) => ({ ...mark, at: at(row) }))) };
}

function counted(bad) {
  const runs = { invalid: 0, unknown: 0, none: 0 };
  for (const [name, many] of bad) runs[name in runs ? name : "none"] += many;
  return Object.entries(runs).filter(([, many]) => many).map(([name, many]) => `${SIGNS[name] ?? "○"} ${many}`).join(" ");
}

// −1 … 1: the same for the same seed.
function jitter(seed) {
  return ((Math.imul(seed + 1, 2654435761) >>> 0) / 2 ** 31) - 1;
}

function numbers(data, measure, combinations) {
  const quantile = (place) => (row) => row.quantiles[measure.place]?.[place] ?? row.quantiles[measure.place]?.[0] ?? null;
  const show = (place) => (row) => digits(quantile(place)(row), 5);
  return table([
    ...data.axes.map((axis, place) => ({ head: axis.key, value: (row) => (axis.numbers ? axis.numbers[row.places[place]] : axis.values[row.places[place]]), show: (row) => axis.values[row.places[place]] })),
    ...data.counts.map((one) => ({ head: one.verdict, number: true, value: (row) => row.runs[one.verdict] ?? 0, show: (row) => count(row.runs[one.verdict] ?? 0) })),
    ...[["least", 0], ["10%", 1], ["25%", 2], ["median", 3], ["75%", 4], ["90%", 5], ["most", 6]].map(([head, place]) => ({ head, number: true, value: quantile(place), show: show(place) })),
  ], combinations, { sortable: true, limit: 100, caption: `${measure.label}, ${measure.unit}` }).element;
}

// Runs.

function runs(data, show) {
  const parts = [];
  if (data.failures.length) {
    const failing = table([
      { head: "run", value: (row) => `${row.label}, seed=${row.seed}`, show: (row) => run(row, show) },
      { head: "verdict", value: (row) => row.verdict, show: (row) => el("span", { class: "nowrap" }, verdictWord(row.verdict)) },
      { head: "reason", value: (row) => row.reason, show: (row) => el("div", { class: "reason" }, row.reason) },
      { head: "", plain: true, value: () => "", show: (row) => row.link && el("button", { type: "button", on: { click: () => show(row) } }, "Command") },
    ], data.failures, { sortable: true, limit: 30 });
    parts.push(el("h3", {}, "Not valid"), failing.element);
    if (data.failures_left_out) parts.push(el("p", { class: "sub" }, `${count(data.failures_left_out)} more are in the rows of the sweep.`));
  } else parts.push(el("p", { class: "sub" }, "Every run is valid."));
  const { points } = data;
  const shown = data.measures.filter((one) => data.shown.includes(one.key));
  parts.push(inFigures(() => table([
    ...data.axes.map((axis, place) => ({ head: axis.key, value: (row) => axis.numbers?.[data.combinations[points.combination[row]].places[place]] ?? axis.values[data.combinations[points.combination[row]].places[place]], show: (row) => axis.values[data.combinations[points.combination[row]].places[place]] })),
    { head: "seed", number: true, value: (row) => points.seed[row], show: (row) => String(points.seed[row]) },
    { head: "verdict", value: (row) => points.standings[points.standing[row]], show: (row) => verdictWord(points.standings[points.standing[row]]) },
    ...shown.map((one) => ({ head: `${one.label}, ${one.unit}`, number: true, value: (row) => points.values[one.key][row], show: (row) => digits(points.values[one.key][row], 5) })),
  ], points.seed.map((_, place) => place), { sortable: true, limit: 100 }).element, points.seed.length < data.runs ? `${count(points.seed.length)} of ${count(data.runs)} runs` : `All ${count(data.runs)} runs`));
  return parts;
}

start(page);
