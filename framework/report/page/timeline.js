import { el, onWidth, svg } from "./dom.js";
import { seconds, united } from "./format.js";
import { inFigures, table } from "./table.js";

const GLYPHS = ["●", "◆", "■", "✚", "★", "▼", "⬟"];
const ROW = 28;

// The states of nodes over time: one bar a node, one span a state. `rows`: [{name, spans: [{from, to, state, detail}]}];
// `states`: names in the order of their colours, of which "down" is hatched. `bands`, `marks` as in a chart.
export function timeline({ title, note, rows, states, end, bands = [], marks = [] }) {
  const plot = el("div", { class: "plot" });
  const legend = el("div", { class: "legend" }, states.map((state, place) =>
    el("span", { class: "item" }, el("span", { class: `chip ${look(state, place)}` }, glyph(state, place)), state)));
  const figure = el("figure", { class: "timeline" }, el("figcaption", {}, title, note && el("span", { class: "note" }, note)), legend, plot,
    inFigures(() => figures(rows)));

  onWidth(plot, (width) => {
    const names = Math.min(120, 14 + 8 * Math.max(...rows.map((row) => row.name.length)));
    const across = width - names - 20;
    const at = (time) => names + (end ? (Math.min(time, end) / end) * across : 0);
    const height = rows.length * ROW + 22;
    const stripe = (look, band, ...within) => svg("rect", { class: look, x: at(band.from), y: 0, width: Math.max(1.5, at(band.to) - at(band.from)), height: height - 20 }, within);
    plot.replaceChildren(svg("svg", { width, height, role: "img", "aria-label": `${title}; the table below has the same` },
      united(bands).map((band) => stripe("band", band)),
      bands.map((band) => stripe("hover", band, svg("title", {}, `${band.label}: ${seconds(band.from)} to ${seconds(band.to)}`))),
      rows.map((row, place) => bar(row, place, names, at, states)),
      marks.map((one) => svg("g", { class: "mark" }, svg("line", { x1: at(one.at), x2: at(one.at), y1: 0, y2: height - 20 }),
        svg("path", { d: `M${at(one.at) - 4} 0h8l-4 7z` }), svg("title", {}, one.label))),
      ticks(end, Math.max(2, Math.floor(across / 90))).map((time) => svg("text", { class: "tick", x: at(time), y: height - 5, "text-anchor": "middle" }, seconds(time)))));
  });
  return figure;
}

function bar(row, place, names, at, states) {
  const top = place * ROW + 3;
  return svg("g", {}, svg("text", { class: "name", x: 0, y: top + 15 }, row.name), row.spans.map((span) => {
    const from = at(span.from);
    const width = Math.max(1, at(span.to) - from);
    const number = states.indexOf(span.state);
    const text = `${glyph(span.state, number)} ${span.state}`;
    const told = svg("title", {}, `${row.name}: ${span.state}${span.detail ? `, ${span.detail}` : ""}, ${seconds(span.from)} to ${seconds(span.to)}`);
    const box = svg("rect", { class: look(span.state, number), x: from, y: top, width, height: ROW - 6, rx: 2 }, told);
    const fits = width > 7.5 * text.length + 6;
    const label = width > 16 ? svg("text", { class: "label", x: from + 4, y: top + 15 }, fits ? text : glyph(span.state, number)) : null;
    return svg("g", {}, box, label);
  }));
}

function look(state, place) {
  return state === "down" ? "state down" : `state s${Math.max(place, 0) % 8}`;
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
    { head: "from", number: true, value: (row) => row.from, show: (row) => seconds(row.from) },
    { head: "to", number: true, value: (row) => row.to, show: (row) => seconds(row.to) },
  ], flat, { limit: 200 }).element;
}
