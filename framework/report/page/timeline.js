import { LINE, heightOf, namesOfBands, namesOfFailures } from "./bands.js";
import { el, onWidth, svg } from "./dom.js";
import { moment, united } from "./format.js";
import { inFigures, table } from "./table.js";

const GLYPHS = ["●", "◆", "■", "✚", "★", "▼", "⬟"];
const ROW = 28;
const AXIS = 20;

// The states of nodes over time: one bar a node, one span a state. `rows`: [{name, spans: [{from, to, state, detail}]}];
// `states`: names in the order of their colours, of which "down" is hatched. `bands`, `marks`, `failures` as in a chart.
export function timeline({ title, note, rows, states, end, bands = [], marks = [], failures = [] }) {
  const plot = el("div", { class: "plot" });
  const legend = el("div", { class: "legend" }, states.map((state, place) =>
    el("span", { class: "item" }, el("span", { class: `chip ${look(state, place)}` }, glyph(state, place)), state)));
  const figure = el("figure", { class: "timeline" }, el("figcaption", {}, title, note && el("span", { class: "note" }, note)), legend, plot,
    inFigures(() => figures(rows)));

  onWidth(plot, (width) => {
    const names = Math.min(0.3 * width, 14 + 8 * Math.max(...rows.map((row) => row.name.length)));
    const across = width - names - 20;
    const at = (time) => names + (end ? (Math.min(time, end) / end) * across : 0);
    const named = namesOfBands(bands, at, names, names + across);
    const failed = namesOfFailures(failures, at, names, names + across);
    const top = heightOf(named);
    const bottom = top + rows.length * ROW + 2;
    const height = bottom + heightOf(failed) + AXIS;
    const stripe = (look, band, ...within) => svg("rect", { class: look, x: at(band.from), y: 0, width: Math.max(1.5, at(band.to) - at(band.from)), height: bottom }, within);
    const upright = (time, to) => svg("line", { x1: at(time), x2: at(time), y1: 0, y2: to });
    plot.replaceChildren(svg("svg", { width, height, role: "img", "aria-label": `${title}; the table below has the same` },
      united(bands).map((band) => stripe("band", band)),
      bands.map((band) => stripe("hover", band, svg("title", {}, `${band.label}: ${moment(band.from)} to ${moment(band.to)}`))),
      named.map((one) => svg("text", { class: "fault", x: one.x, y: one.line * LINE + LINE - 3 }, one.text)),
      marks.map((one) => svg("g", { class: "mark" }, upright(one.at, bottom))), // behind the bars, whose labels they would cross
      rows.map((row, place) => bar(row, top + place * ROW + 3, names, at, states)),
      marks.map((one) => svg("g", { class: "mark" }, svg("path", { d: `M${at(one.at) - 4} ${top}h8l-4 7z` }), svg("title", {}, `${one.label}, ${moment(one.at)}`))),
      failures.map((one) => svg("g", { class: "failure" }, upright(one.at, bottom), svg("title", {}, `${one.label}, ${moment(one.at)}`))),
      failed.map((one) => svg("g", { class: "failure" }, svg("rect", { x: one.x, y: bottom + one.line * LINE, width: one.width, height: LINE }),
        svg("text", { x: one.x + 4, y: bottom + one.line * LINE + LINE - 3 }, one.text))),
      ticks(end, Math.max(2, Math.floor(across / 90))).map((time) => tickAt(at(time), width, height - 5, moment(time)))));
  });
  return figure;
}

// A number below the axis, within the width.
function tickAt(x, width, y, text) {
  const isAtEdge = x + 3.6 * text.length > width;
  return svg("text", { class: "tick", x: isAtEdge ? width : x, y, "text-anchor": isAtEdge ? "end" : "middle" }, text);
}

function bar(row, top, names, at, states) {
  const letters = Math.floor((names - 8) / 7.2);
  const name = row.name.length > letters ? `${row.name.slice(0, letters - 1)}…` : row.name;
  return svg("g", {}, svg("text", { class: "name", x: 0, y: top + 15 }, name, name === row.name ? null : svg("title", {}, row.name)), row.spans.map((span) => {
    const from = at(span.from);
    const width = Math.max(1, at(span.to) - from);
    const number = states.indexOf(span.state);
    const sign = glyph(span.state, number);
    const told = svg("title", {}, `${row.name}: ${span.state}${span.detail ? `, ${span.detail}` : ""}, ${moment(span.from)} to ${moment(span.to)}`);
    const box = svg("rect", { class: look(span.state, number), x: from, y: top, width, height: ROW - 6, rx: 2 }, told);
    const texts = [span.detail && `${sign} ${span.state} · ${span.detail}`, span.state === "up" && span.detail, `${sign} ${span.state}`].filter(Boolean);
    const label = width > 16 ? svg("text", { class: "label", x: from + 4, y: top + 15 }, texts.find((text) => width > 7.5 * text.length + 6) ?? sign) : null;
    return svg("g", {}, box, label);
  }));
}

function look(state, place) {
  return state === "down" || state === "up" ? `state ${state}` : `state s${Math.max(place, 0) % 8}`;
}

function glyph(state, place) {
  return state === "down" ? "✕" : state === "leader" ? "▲" : GLYPHS[Math.max(place, 0) % GLYPHS.length];
}

export function ticks(end, most) {
  if (!end) return [0];
  const steps = [1, 2, 5].flatMap((digit) => [-3, -2, -1, 0, 1, 2, 3, 4].map((power) => digit * 10 ** power)).sort((a, b) => a - b);
  const step = steps.find((one) => end / one <= most) ?? end;
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, place) => Number((place * step).toFixed(6)));
}

function figures(rows) {
  const flat = rows.flatMap((row) => row.spans.map((span) => ({ name: row.name, ...span })));
  return table([
    { head: "node", value: (row) => row.name },
    { head: "state", value: (row) => row.state },
    { head: "details", value: (row) => row.detail },
    { head: "from", number: true, value: (row) => row.from, show: (row) => moment(row.from) },
    { head: "to", number: true, value: (row) => row.to, show: (row) => moment(row.to) },
  ], flat, { limit: 200 }).element;
}
