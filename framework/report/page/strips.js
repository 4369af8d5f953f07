import { onWidth, svg } from "./dom.js";
import { labelled, scaled } from "./scale.js";

const ROW = 36;
const TOP = 6;
const BOTTOM = 24;
const COUNTS = 52;

// The shape of a run that is not valid: a cross, a triangle, and a circle for a run without a verdict.
export function shape(standing, x, y) {
  if (standing === "invalid") return svg("path", { class: "shape", d: `M${x - 5} ${y - 5}l10 10m0-10l-10 10` });
  if (standing === "unknown") return svg("path", { class: "shape", d: `M${x} ${y - 6}l6 10.5h-12z` });
  return svg("circle", { class: "shape", cx: x, cy: y, r: 5 });
}

// Distributions, one row each, on a scale that panels share. `rows`: [{label, title, quantiles, counts, dots: [value],
// marks: [{value, standing, title, href, click, spread}]}]; a mark is a run that is not valid: a link, or a button.
export function strips(plot, rows, scale, name) {
  onWidth(plot, (width) => {
    const labels = labelled(rows.map((row) => row.label), width);
    const { left, above } = labels;
    const tall = ROW + above;
    const right = rows.some((row) => row.counts) ? COUNTS : 10;
    const across = width - left - right;
    const x = (value) => left + scale.at(value) * across;
    const height = TOP + rows.length * tall + BOTTOM;
    plot.replaceChildren(svg("svg", { width, height, role: "group", "aria-label": name },
      grid(scale, x, across, height),
      rows.map((row, place) => strip(row, TOP + place * tall + above + ROW / 2, x, labels, width))));
  });
}

function strip(row, y, x, { left, above, cut }, width) {
  const dots = row.dots.map((dot) => `M${x(dot.value).toFixed(1)} ${(y + dot.spread * 11).toFixed(1)}h0`).join("");
  return svg("g", {},
    svg("text", { class: "name", x: 0, y: above ? y - ROW / 2 : y + 4 }, cut(row.label), svg("title", {}, row.label)),
    row.quantiles && box(row.quantiles, y, x),
    svg("path", { class: "dots", d: dots }),
    svg("rect", { class: "hover", x: left, y: y - ROW / 2, width: Math.max(0, width - left), height: ROW }, svg("title", {}, row.title)),
    row.marks.map((mark) => marked(mark, x(mark.value), y + mark.spread * 9)),
    row.counts && svg("text", { class: "tick", x: width, y: y + 4, "text-anchor": "end" }, row.counts));
}

function box([, low, first, median, third, high], y, x) {
  const edge = (value, size) => svg("line", { x1: x(value), x2: x(value), y1: y - size, y2: y + size });
  return svg("g", { class: "box" }, svg("line", { x1: x(low), x2: x(high), y1: y, y2: y }), edge(low, 4), edge(high, 4),
    svg("rect", { x: x(first), y: y - 9, width: Math.max(1, x(third) - x(first)), height: 18 }),
    svg("line", { class: "median", x1: x(median), x2: x(median), y1: y - 13, y2: y + 13 }));
}

// A run that is not valid, at a place: a link to it, or a button that shows it.
export function marked(mark, x, y) {
  const drawn = [svg("circle", { class: "hover", cx: x, cy: y, r: 9 }), shape(mark.standing, x, y), svg("title", {}, mark.title)];
  const look = `run ${mark.standing in { invalid: 1, unknown: 1 } ? mark.standing : "none"}`;
  if (mark.href) return svg("a", { class: look, href: mark.href, "aria-label": mark.title }, drawn);
  const press = (event) => { if (event.type === "click" || event.key === "Enter" || event.key === " ") { event.preventDefault(); mark.click(); } };
  return svg("g", { class: look, tabindex: 0, role: "button", "aria-label": mark.title, on: { click: press, keydown: press } }, drawn);
}

function grid(scale, x, across, height) {
  return scale.ticks(Math.max(2, Math.floor(across / 75))).map((tick) => svg("g", { class: "gridline" },
    svg("line", { x1: x(tick), x2: x(tick), y1: TOP, y2: height - BOTTOM }),
    svg("text", { class: "tick", x: x(tick), y: height - 8, "text-anchor": "middle" }, scale.show(tick))));
}

// Runs over an axis of many numbers. `dots`: [{at, value}], `marks` as in a strip with `at`.
export function scatter(plot, { dots, marks, across: label, log }, scale, name) {
  onWidth(plot, (width) => {
    const left = 62;
    const height = 260;
    const along = scaled([...dots, ...marks].map((one) => one.at), { log });
    const x = (value) => left + along.at(value) * (width - left - 14);
    const y = (value) => TOP + (1 - scale.at(value)) * (height - TOP - 44);
    plot.replaceChildren(svg("svg", { width, height, role: "group", "aria-label": name },
      scale.ticks(5).map((tick) => svg("g", { class: "gridline" }, svg("line", { x1: left, x2: width - 14, y1: y(tick), y2: y(tick) }),
        svg("text", { class: "tick", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, scale.show(tick)))),
      along.ticks(Math.max(2, Math.floor((width - left) / 75))).map((tick) => svg("g", { class: "gridline" }, svg("line", { x1: x(tick), x2: x(tick), y1: TOP, y2: height - 38 }),
        svg("text", { class: "tick", x: x(tick), y: height - 24, "text-anchor": "middle" }, along.show(tick)))),
      svg("text", { class: "tick", x: left + (width - left) / 2, y: height - 6, "text-anchor": "middle" }, label),
      svg("path", { class: "dots", d: dots.map((dot) => `M${x(dot.at).toFixed(1)} ${y(dot.value).toFixed(1)}h0`).join("") }),
      marks.map((mark) => marked(mark, x(mark.at), y(mark.value)))));
  });
}
