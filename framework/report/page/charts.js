/* global uPlot */
import { extentsOf, LINE, namesOfBands, namesOfFailures } from "./bands.js";
import { colour, el, onColours, onWidth } from "./dom.js";
import { digits, united } from "./format.js";
import { inFigures, table } from "./table.js";
import { zoomable } from "./zoom.js";

const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
const NARROWEST = 56; // the least width of the numbers on the y axis, so that charts below one another are aligned
const CLICK = 4; // a drag of fewer pixels is a click
const EDGES = 8; // the least distance between the edges of two bands, in pixels
export const COLOURS = 8;

// A chart of series over a common x. `x`: {values, label, show, tick, log, to: the axis goes from 0 to it}; `series`: [{label, values, colour: 0…, dash: 0…, show}];
// `y`: {label, log, from, to}; `bands`: [{from, to, label, name}]; `marks`: [{at, label}]; `failures`: [{at, label}]; `sync`: charts of one name share the cursor; `zoom`: those of one share what they show.
export function chart({ title, note, x, series, y, bands = [], marks = [], failures = [], sync, zoom = zoomOf(x), height = 220, stepped = false }) {
  const plot = el("div", { class: "plot" });
  const values = series.map(() => el("span", { class: "value" }));
  const at = el("span", { class: "value at" });
  const legend = el("div", { class: "legend" }, series.map((one, place) =>
    el("span", { class: "item" }, swatch(one), el("span", {}, one.label), values[place])), at);
  const figure = el("figure", { class: "chart", tabindex: 0, role: "group", "aria-label": `${title}. Arrow keys move through the values, plus and minus zoom, 0 shows all.` },
    el("figcaption", {}, title, note && el("span", { class: "note" }, note)), legend, plot,
    inFigures(() => figures(x, series)));
  const layer = el("div", { class: "layer" });
  let drawn = null;

  // Colours are asked for at each drawing, and a new width keeps what is zoomed.
  function draw(width) {
    if (drawn) {
      drawn.setSize({ width, height });
      return;
    }
    const line = { stroke: () => colour("--line"), width: 1 };
    const axis = { stroke: () => colour("--muted"), grid: line, ticks: line, font: "12px system-ui, sans-serif", labelSize: 18, labelFont: "12px system-ui, sans-serif" };
    const ticks = (show) => (_, found) => found.map((value) => (value === null ? "" : show(value)));
    drawn = new uPlot({
      width, height,
      legend: { show: false },
      cursor: { sync: sync ? { key: sync, setSeries: false } : undefined, points: { size: 6 }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => () => zoom.whole() } },
      scales: { x: { time: false, distr: x.log ? 3 : 1, range: x.to === undefined ? undefined : (u, low, high) => (low === x.values[0] && high === x.values.at(-1) ? [0, x.to] : [low, high]) }, y: { distr: y.log ? 3 : 1, range: y.log ? undefined : range(y) } },
      axes: [
        { ...axis, label: x.label, size: 32, values: ticks(x.tick ?? ((value) => digits(value, 4))) },
        { ...axis, label: y.label, size: room, values: ticks((value) => digits(value, 4)) },
      ],
      series: [{}, ...series.map((one) => ({
        stroke: () => colour(`--c${one.colour % COLOURS}`), width: 1.8, dash: DASHES[(one.dash ?? 0) % DASHES.length],
        paths: stepped || one.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined, points: { show: one.points ?? undefined, size: 4 },
      }))],
      hooks: { drawClear: [(u) => shade(u, bands)], draw: [(u) => mark(u, marks), (u) => write(u, layer, bands, failures)], setCursor: [told], setSelect: [chosen] },
    }, [x.values, ...series.map((one) => one.values)], plot);
    drawn.over.append(layer);
    if (zoom.isZoomed) show();
    write(drawn, layer, bands, failures);
    told(drawn);
  }

  function show() {
    if (zoom.isZoomed) drawn.setScale("x", { min: zoom.shown.from, max: zoom.shown.to });
    else drawn.setData(drawn.data, true);
  }

  function chosen(u) {
    const { left, width } = u.select;
    if (!width) return;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width >= CLICK) zoom.show(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
  }

  function told(u) {
    const place = u.cursor.idx;
    const known = place !== null && place !== undefined;
    at.textContent = known ? `${x.label}: ${(x.show ?? digits)(x.values[place])}` : "";
    series.forEach((one, number) => {
      const value = known ? one.values[place] : null;
      values[number].textContent = known ? (one.show ?? digits)(value ?? null) : "";
    });
  }

  figure.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (!drawn || event.target !== figure || event.ctrlKey || event.metaKey || event.altKey) return;
    if (zoom.follows(event.key)) event.preventDefault();
    if (!step) return;
    event.preventDefault();
    const place = Math.max(0, Math.min(x.values.length - 1, (drawn.cursor.idx ?? -1) + step));
    drawn.setCursor({ left: drawn.valToPos(x.values[place], "x"), top: drawn.over.clientHeight / 2 }, true, true);
  });
  onWidth(plot, draw);
  zoom.watch(() => drawn && show());
  onColours(() => drawn?.redraw());
  return figure;
}

// What a chart shows that is zoomed alone.
function zoomOf(x) {
  return x.to === undefined ? zoomable(x.values[0], x.values.at(-1), { log: x.log }) : zoomable(0, x.to);
}

// The width that the numbers on an axis take.
function room(u, numbers, place, cycle) {
  const axis = u.axes[place];
  if (cycle > 1) return axis._size;
  u.ctx.font = axis.font[0];
  const widest = Math.max(0, ...(numbers ?? []).map((text) => u.ctx.measureText(text).width / devicePixelRatio));
  return Math.max(NARROWEST, Math.ceil(widest + axis.ticks.size + axis.gap + 4));
}

function range(y) {
  return (_, low, high) => {
    const from = y.from ?? Math.min(0, low ?? 0);
    const to = y.to ?? (high ?? 1);
    return [from, y.to === undefined ? (to > from ? to + (to - from) * 0.06 : from + 1) : to];
  };
}

function shade(u, bands) {
  clipped(u, ({ top, height }) => {
    u.ctx.fillStyle = colour("--band");
    u.ctx.strokeStyle = colour("--band-edge");
    u.ctx.setLineDash([]);
    for (const band of united(bands)) {
      const from = u.valToPos(band.from, "x", true);
      const to = Math.max(u.valToPos(band.to, "x", true), from + 1.5 * devicePixelRatio);
      u.ctx.fillRect(from, top, to - from, height);
    }
    let last = -Infinity;
    for (const edge of bands.flatMap(({ from, to }) => [from, to]).sort((a, b) => a - b)) {
      if (u.valToPos(edge, "x") - last < EDGES) continue; // many faults would hide the curves
      upright(u, edge);
      last = u.valToPos(edge, "x");
    }
  });
}

function mark(u, marks) {
  clipped(u, ({ top }) => {
    u.ctx.strokeStyle = u.ctx.fillStyle = colour("--mark");
    u.ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    const half = 4 * devicePixelRatio;
    for (const one of marks) {
      const x = upright(u, one.at);
      u.ctx.beginPath();
      u.ctx.moveTo(x - half, top);
      u.ctx.lineTo(x + half, top);
      u.ctx.lineTo(x, top + 1.8 * half);
      u.ctx.fill();
    }
  });
}

// Writes over the plot, as text of the page: the names of bands at their tops, with their ends, and the failures with their labels at the bottom.
function write(u, layer, bands, failures) {
  const { clientWidth: width, clientHeight: height } = u.over;
  const at = (value) => u.valToPos(value, "x");
  const px = (left, top) => ({ left: `${left}px`, top: `${top}px` });
  const names = namesOfBands(bands, at, 0, width);
  layer.replaceChildren(
    ...extentsOf(names).map((one) => el("span", { class: `extent${one.begins ? " begins" : ""}${one.ends ? " ends" : ""}`, style: { ...px(one.from, one.line * LINE + 1), width: `${one.to - one.from}px` } })),
    ...names.map((one) => el("span", { class: "fault", style: px(one.x, one.line * LINE) }, one.text)),
    ...failures.filter((one) => at(one.at) >= 0 && at(one.at) <= width).map((one) => el("span", { class: "failed", style: px(at(one.at) - 1, 0) })),
    ...namesOfFailures(failures, at, 0, width).map((one) => el("span", { class: "failure", style: px(one.x, height - (one.line + 1) * LINE) }, one.text)));
}

// Draws within the plotting area alone.
function clipped(u, draw) {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height);
  u.ctx.clip();
  draw(u.bbox);
  u.ctx.restore();
}

// Draws a line from top to bottom at a value of x; returns its place.
function upright(u, value) {
  const x = u.valToPos(value, "x", true);
  u.ctx.beginPath();
  u.ctx.moveTo(x, u.bbox.top);
  u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
  u.ctx.stroke();
  return x;
}

function swatch(one) {
  const class_ = `swatch dash${(one.dash ?? 0) % DASHES.length}`;
  return el("span", { class: class_, style: { "border-color": `var(--c${one.colour % COLOURS})` }, "aria-hidden": "true" });
}

function figures(x, series) {
  const columns = [
    { head: x.label, number: true, value: (place) => x.values[place], show: (place) => (x.show ?? digits)(x.values[place]) },
    ...series.map((one) => ({ head: one.label, number: true, value: (place) => one.values[place], show: (place) => (one.show ?? digits)(one.values[place] ?? null) })),
  ];
  return table(columns, x.values.map((_, place) => place), { limit: 200 }).element;
}
