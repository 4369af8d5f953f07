import { el, onWidth, section, svg } from "./dom.js";
import { count, digits } from "./format.js";
import { change, choice, verdictWord } from "./parts.js";
import { labelled, scaled } from "./scale.js";
import { start } from "./start.js";
import { inFigures, table } from "./table.js";

const ROW = 30;
const NOTHING = "";

function page(data) {
  return [header(data), section("measures", "Differences of medians", null, ...measures(data)), section("verdicts", "Verdicts", null, ...verdicts(data)),
    section("settings", "Settings and code", null, ...settings(data))];
}

function header(data) {
  return el("header", {}, el("h1", {}, data.title), el("p", { class: "sub" }, data.folders.join(" → ")),
    el("p", {}, `${count(data.combinations.length)} ${data.combinations.length === 1 ? "combination is" : "combinations are"} in both sweeps`,
      ...data.only.map((many, side) => (many ? `, ${count(many)} only in ${data.names[side]}` : "")), "."),
    el("p", { class: "sub" }, data.method));
}

function measures(data) {
  const figures = el("div");
  const others = data.measures.filter((one) => !data.shown.includes(one.key));
  const draw = (more) => figures.replaceChildren(...data.measures.filter((one) => data.shown.includes(one.key) || one.key === more).map((one) => figure(data, one)));
  draw(NOTHING);
  return [el("div", { class: "controls" }, choice("Also show", [{ value: NOTHING, label: "–" }, ...others.map((one) => ({ value: one.key, label: one.label }))], NOTHING, draw)), figures];
}

function figure(data, measure) {
  const plot = el("div", { class: "plot" });
  const rows = measure.rows.map((row, place) => ({ ...row, label: data.combinations[place].label }));
  const known = rows.filter((row) => row.difference !== null);
  if (known.length) onWidth(plot, (width) => plot.replaceChildren(intervals(rows, width, `${measure.label}: differences; the table below has the same`)));
  const sure = rows.filter((row) => row.low !== null && (row.low > 0 || row.high < 0)).length;
  return el("figure", { class: "measure" },
    el("figcaption", {}, measure.label, el("span", { class: "note" }, `${data.names[1]} minus ${data.names[0]}, ${measure.unit} · ${count(sure)} of ${count(rows.length)} intervals exclude zero`)),
    known.length ? plot : el("p", { class: "missing" }, "No combination has a value in both sweeps."),
    numbers(data, measure, rows));
}

function intervals(rows, width, name) {
  const { left, above, cut } = labelled(rows.map((row) => row.label), width);
  const tall = ROW + above;
  const scale = scaled(rows.flatMap((row) => [row.low, row.high, row.difference]), { anchored: true });
  const x = (value) => left + scale.at(value) * (width - left - 14);
  const height = rows.length * tall + 26;
  const line = (from, to, y, look) => svg("line", { class: look, x1: x(from), x2: x(to), y1: y, y2: y });
  return svg("svg", { width, height, role: "img", "aria-label": name },
    scale.ticks(Math.max(2, Math.floor((width - left) / 80))).map((tick) => svg("g", { class: tick === 0 ? "gridline zero" : "gridline" }, svg("line", { x1: x(tick), x2: x(tick), y1: 0, y2: height - 22 }),
      svg("text", { class: "tick", x: x(tick), y: height - 7, "text-anchor": "middle" }, scale.show(tick)))),
    rows.map((row, place) => {
      const y = place * tall + above + ROW / 2;
      const isSure = row.low !== null && (row.low > 0 || row.high < 0);
      return svg("g", { class: isSure ? "interval sure" : "interval" },
        svg("text", { class: "name", x: 0, y: above ? y - ROW / 2 + 4 : y + 4 }, cut(row.label)),
        row.low !== null && [line(row.low, row.high, y, ""), ...[row.low, row.high].map((end) => svg("line", { x1: x(end), x2: x(end), y1: y - 5, y2: y + 5 }))],
        row.difference !== null && (isSure ? svg("circle", { cx: x(row.difference), cy: y, r: 5 }) : svg("circle", { class: "hollow", cx: x(row.difference), cy: y, r: 5 })),
        svg("rect", { class: "hover", x: 0, y: y - ROW / 2 - above, width, height: tall }, svg("title", {}, `${row.label}: ${interval(row)}: ${row.words}`)));
    }));
}

function interval(row) {
  if (row.difference === null) return "no difference";
  return row.low === null ? digits(row.difference, 4) : `${digits(row.difference, 4)} (${digits(row.low, 4)} to ${digits(row.high, 4)})`;
}

function numbers(data, measure, rows) {
  const make = () => table([
    { head: "combination", value: (row) => row.label, show: (row) => el("div", { class: "reason" }, row.label) },
    ...data.names.map((name, side) => ({ head: name, number: true, value: (row) => row.medians[side], show: (row) => `${digits(row.medians[side], 5)} (${count(row.runs[side])} runs)` })),
    { head: "difference", number: true, value: (row) => row.difference, show: (row) => digits(row.difference, 4) },
    { head: "95% interval", number: true, value: (row) => row.low, show: (row) => (row.low === null ? "–" : `${digits(row.low, 4)} to ${digits(row.high, 4)}`) },
    { head: "change", number: true, value: (row) => (row.medians[0] ? (row.difference ?? 0) / Math.abs(row.medians[0]) : null), show: (row) => change(row.medians[0], row.medians[1]) },
    { head: "what the interval says", value: (row) => row.words, show: (row) => el("div", { class: "reason" }, row.words) },
  ], rows, { sortable: true, limit: 100 }).element;
  return rows.length <= 12 ? make() : inFigures(make);
}

function verdicts(data) {
  const rows = [{ label: "all runs", counts: data.counts }, ...data.combinations];
  return [table([
    { head: "", value: (row) => row.label, show: (row) => el("div", { class: "reason" }, row.label) },
    ...data.standings.flatMap((standing) => data.names.map((name, side) => ({ head: el("span", {}, name, el("br"), verdictWord(standing)), number: true, value: (row) => row.counts[side][standing] ?? 0, show: (row) => count(row.counts[side][standing] ?? 0) }))),
  ], rows, { limit: 100 }).element];
}

function settings(data) {
  const rows = [...data.settings, { key: "code", values: data.codes }];
  return [table([{ head: "setting", value: (row) => row.key }, ...data.names.map((name, side) => ({ head: name, value: (row) => row.values[side] ?? "–" }))], rows).element,
    el("p", { class: "sub" }, data.settings.length ? "" : "The settings that all runs share are the same in both.")];
}

start(page);
