import { extentsOf, LINE, heightOf, namesOfBands, namesOfFailures } from "./bands.js";
import { el, onWidth, svg } from "./dom.js";
import { moment, united } from "./format.js";
import { hitsOf, inForce, inLanes } from "./lanes.js";
import { inFigures, table } from "./table.js";

const GLYPHS = ["●", "◆", "■", "✚", "★", "▼", "⬟"];
const ROW = 28;
const BAR = 22;
const LANE = 13;
const LETTER = 6.2; // of the names in lanes
const NARROWEST = 3; // of a fault in a lane
const AXIS = 20;
const CLICK = 4; // a drag of fewer pixels is a click

// The states of nodes over time: one bar a node, one span a state, and below the bar the faults that hit the node. `rows`:
// [{name, spans: [{from, to, state, detail}]}]; `states`: names in the order of their colours, of which "down" is hatched.
// `zoom` is the part of the time that is shown. `bands`, `marks`, `failures` as in a chart; bands have `targets` and `sides` too.
export function timeline({ title, note, rows, states, zoom, bands = [], marks = [], failures = [] }) {
  const plot = el("div", { class: "plot" });
  const hits = rows.map((row) => hitsOf(row.name, bands));
  const legend = el("div", { class: "legend" }, states.map((state, place) =>
    el("span", { class: "item" }, el("span", { class: `chip ${look(state, place)}` }, glyph(state, place)), state)),
    hits.flat().length > 0 && el("span", { class: "item" }, el("span", { class: "chip lane" }), "a fault hits the node"));
  const figure = el("figure", { class: "timeline", tabindex: 0, role: "group", "aria-label": `${title}. Plus and minus zoom, 0 shows all, arrow keys move.` },
    el("figcaption", {}, title, note && el("span", { class: "note" }, note)), legend, plot,
    inFigures(() => figures(rows, hits)));
  let width = 0;
  let area = null; // the part of the width along which time runs: {left, across}

  function draw() {
    const names = Math.min(0.3 * width, 14 + 8 * Math.max(...rows.map((row) => row.name.length)));
    const across = width - names - 20;
    const { from: first, to: last } = zoom.shown;
    area = { left: names, across };
    const far = (time) => names + (last > first ? ((time - first) / (last - first)) * across : 0);
    const at = (time) => Math.max(names, Math.min(names + across, far(time)));
    const seen = (one) => one.from <= last && one.to >= first;
    const seenAt = (one) => seen({ from: one.at, to: one.at });
    const shown = bands.filter(seen);
    const named = namesOfBands(shown, far, names, names + across);
    const failed = namesOfFailures(failures.filter(seenAt), at, names, names + across);
    const top = heightOf(named);
    const lanes = hits.map((spans) => inLanes(spans.filter(seen)));
    const tops = [];
    const bottom = rows.reduce((y, _, place) => { tops.push(y + 3); return y + ROW + LANE * lanes[place].length; }, top) + 2;
    const height = bottom + heightOf(failed) + AXIS;
    const stripe = (look, band, ...within) => svg("rect", { class: look, x: at(band.from), y: 0, width: Math.max(1.5, at(band.to) - at(band.from)), height: bottom }, within);
    const upright = (time, to) => svg("line", { x1: at(time), x2: at(time), y1: 0, y2: to });
    plot.replaceChildren(svg("svg", { width, height, role: "img", "aria-label": `${title}; the table below has the same` },
      united(shown).map((band) => stripe("band", band)),
      shown.map((band) => stripe("hover", band, svg("title", {}, `${band.label}: ${inForce(band)}`))),
      extentsOf(named).map((one) => svg("path", { class: "extent", d: `M${one.from} ${one.line * LINE + 1}${one.begins ? "v" : "m0 "}${LINE - 2}H${one.to}${one.ends ? `v${2 - LINE}` : ""}` })),
      named.map((one) => svg("text", { class: "fault", x: one.x, y: one.line * LINE + LINE - 3 }, one.text)),
      marks.filter(seenAt).map((one) => svg("g", { class: "mark" }, upright(one.at, bottom))), // behind the bars, whose labels they would cross
      rows.map((row, place) => svg("g", { class: "row", "data-node": row.name }, bar({ ...row, spans: row.spans.filter(seen) }, tops[place], names, at, states),
        lanes[place].flatMap((lane, number) => laneOf(row.name, lane, tops[place] + BAR + 2 + number * LANE, at, names + across)))),
      marks.filter(seenAt).map((one) => svg("g", { class: "mark" }, svg("path", { d: `M${at(one.at) - 4} ${top}h8l-4 7z` }), svg("title", {}, `${one.label}, ${moment(one.at)}`))),
      failures.filter(seenAt).map((one) => svg("g", { class: "failure" }, upright(one.at, bottom), svg("title", {}, `${one.label}, ${moment(one.at)}`))),
      failed.map((one) => svg("g", { class: "failure" }, svg("rect", { x: one.x, y: bottom + one.line * LINE, width: one.width, height: LINE }),
        svg("text", { x: one.x + 4, y: bottom + one.line * LINE + LINE - 3 }, one.text))),
      ticks(first, last, Math.max(2, Math.floor(across / 90))).map((time) => tickAt(at(time), width, height - 5, moment(time)))));
  }

  onWidth(plot, (now) => { width = now; draw(); });
  zoom.watch(() => width && draw());
  zoomed(plot, zoom, () => area);
  figure.addEventListener("keydown", (event) => {
    if (event.target !== figure || event.ctrlKey || event.metaKey || event.altKey) return;
    const moved = { ArrowLeft: -0.2, ArrowRight: 0.2 }[event.key];
    if (moved) zoom.move(moved);
    else if (!zoom.follows(event.key)) return;
    event.preventDefault();
  });
  return figure;
}

// Dragging over `plot` zooms to what was passed, and a double click shows all. `area()` is where time runs.
function zoomed(plot, zoom, area) {
  let began = null;
  let chosen = null;
  const place = (event) => Math.max(area().left, Math.min(area().left + area().across, event.clientX - plot.getBoundingClientRect().left));
  const timeAt = (x) => zoom.shown.from + ((x - area().left) / area().across) * (zoom.shown.to - zoom.shown.from);
  const end = () => { chosen?.remove(); began = chosen = null; };

  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !area() || event.clientX - plot.getBoundingClientRect().left < area().left) return;
    began = place(event);
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", (event) => {
    if (began === null) return;
    const now = place(event);
    if (!chosen) plot.firstChild.append((chosen = svg("rect", { class: "chosen", y: 0, height: plot.firstChild.getAttribute("height") })));
    chosen.setAttribute("x", Math.min(began, now));
    chosen.setAttribute("width", Math.abs(now - began));
  });
  plot.addEventListener("pointerup", (event) => {
    if (began === null) return;
    const [from, to] = [began, place(event)];
    end();
    if (Math.abs(to - from) >= CLICK) zoom.show(timeAt(from), timeAt(to));
  });
  plot.addEventListener("pointercancel", end);
  plot.addEventListener("dblclick", () => zoom.whole());
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
    const box = svg("rect", { class: look(span.state, number), x: from, y: top, width, height: BAR, rx: 2 }, told);
    const texts = [span.detail && `${sign} ${span.state} · ${span.detail}`, span.state === "up" && span.detail, `${sign} ${span.state}`].filter(Boolean);
    const label = width > 16 ? svg("text", { class: "label", x: from + 4, y: top + 15 }, texts.find((text) => width > 7.5 * text.length + 6) ?? sign) : null;
    return svg("g", {}, box, label);
  }));
}

// The faults of one lane. A name that has no room within its span is written beside it, if there is room until the next.
function laneOf(node, spans, top, at, right) {
  return spans.map((span, place) => {
    const from = Math.min(at(span.from), right - NARROWEST);
    const to = Math.max(at(span.to), from + NARROWEST);
    const next = place + 1 < spans.length ? at(spans[place + 1].from) : right;
    const fits = (text, room) => LETTER * text.length + 6 <= room;
    const text = span.texts.find((one) => fits(one, to - from) || fits(one, next - to));
    return svg("g", { class: "lane" },
      svg("rect", { x: from, y: top, width: to - from, height: LANE - 2 }, svg("title", {}, [`${node}: ${inForce(span)}`, ...span.told].join("\n"))),
      text && svg("text", { x: (fits(text, to - from) ? from : to) + 3, y: top + 9 }, text));
  });
}

function look(state, place) {
  return state === "down" || state === "up" ? `state ${state}` : `state s${Math.max(place, 0) % 8}`;
}

function glyph(state, place) {
  return state === "down" ? "✕" : state === "leader" ? "▲" : GLYPHS[Math.max(place, 0) % GLYPHS.length];
}

// Round values between two, at most `most` of them.
function ticks(from, to, most) {
  if (!(to > from)) return [from];
  const steps = [1, 2, 5].flatMap((digit) => [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4].map((power) => digit * 10 ** power)).sort((a, b) => a - b);
  const step = steps.find((one) => (to - from) / one <= most) ?? to - from;
  const first = Math.ceil(from / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(to / step + 1e-9) - first + 1) }, (_, place) => Number(((first + place) * step).toFixed(9)));
}

function figures(rows, hits) {
  const flat = rows.flatMap((row, place) => [
    ...row.spans.map((span) => ({ name: row.name, ...span })),
    ...hits[place].map((span) => ({ name: row.name, state: span.texts[0], detail: span.told.join("; "), from: span.from, to: span.to })),
  ]);
  return table([
    { head: "node", value: (row) => row.name },
    { head: "state, fault", value: (row) => row.state },
    { head: "details", value: (row) => row.detail },
    { head: "from", number: true, value: (row) => row.from, show: (row) => moment(row.from) },
    { head: "to", number: true, value: (row) => row.to, show: (row) => moment(row.to) },
  ], flat, { limit: 200 }).element;
}
