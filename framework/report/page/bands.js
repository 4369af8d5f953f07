import { moment } from "./format.js";

// Where the names of bands and failures are written along the axis of time, in charts and in timelines alike.

export const LINE = 14; // the height of a line of names
const LETTER = 7;
const LINES = 3;
const LEAST = 3; // letters below which a name is left out

// The names of bands, each at the top of its band and no wider: cut, or left out, where there is no room. `bands`: [{from, to,
// name}]; `at(value)` is a place between `left` and `right`. Bands of one name with the same ends are one: `loss ×4`. Bands
// that overlap have lines of their own as long as there are lines; then a name may follow another, and its ends are not known.
export function namesOfBands(bands, at, left, right) {
  const ends = [];
  const found = [];
  for (const band of alike(bands)) {
    const from = Math.max(at(band.from), left);
    const to = Math.min(at(band.to), right);
    const text = cut(band.many > 1 ? `${band.name} ×${band.many}` : band.name, Math.floor((to - from - 6) / LETTER));
    if (text === null) continue;
    const own = lineOf(ends, from, "band");
    const line = own >= 0 ? own : lineOf(ends, from, "name");
    if (line < 0) continue;
    ends[line] = { band: Math.max(to, ends[line]?.band ?? 0), name: from + 8 + LETTER * text.length };
    found.push({ text, x: from + 4, line, from, to, begins: at(band.from) >= left, ends: at(band.to) <= right, isOwn: own >= 0 });
  }
  return found;
}

// Where each band of `namesOfBands` is, for those with lines of their own, and whether it begins and ends there.
export function extentsOf(names) {
  return names.filter((one) => one.isOwn);
}

// The labels of failures, each beside its line, on the side with more room. `failures`: [{at, label}].
export function namesOfFailures(failures, at, left, right) {
  const taken = [];
  const found = [];
  for (const { at: time, label } of failures) {
    const x = at(time);
    if (x < left || x > right + 1) continue;
    const isLeft = x - left > right - x;
    const text = cut(`✕ ${label}, ${moment(time)}`, Math.floor(((isLeft ? x - left : right - x) - 10) / LETTER));
    if (text === null) continue;
    const width = LETTER * text.length + 8;
    const from = isLeft ? x - width : x;
    const line = [...Array(LINES).keys()].findIndex((one) => taken.every((other) => other.line !== one || other.from >= from + width || other.to <= from));
    if (line < 0) continue;
    taken.push({ line, from, to: from + width });
    found.push({ text, x: from, width, line });
  }
  return found;
}

// What a line of names takes at the edge of a timeline.
export function heightOf(names) {
  return names.length ? LINE * (1 + Math.max(...names.map((one) => one.line))) : 0;
}

function alike(bands) {
  const found = new Map();
  for (const band of bands) {
    const key = `${band.from} ${band.to} ${band.name}`;
    if (found.has(key)) found.get(key).many += 1;
    else found.set(key, { ...band, many: 1 });
  }
  return [...found.values()].sort((a, b) => a.from - b.from || b.to - a.to);
}

function lineOf(ends, from, what) {
  const line = ends.findIndex((end) => end[what] <= from);
  return line >= 0 ? line : ends.length < LINES ? ends.length : -1;
}

function cut(text, most) {
  return text.length <= most ? text : most >= LEAST + 1 ? `${text.slice(0, most - 1)}…` : null;
}
