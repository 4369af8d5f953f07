// Numbers as people read them. All take null, and show it as a dash.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const thousandths = new Intl.NumberFormat("en-US", { maximumFractionDigits: 3 });

export function count(value) {
  return value === null || value === undefined ? "–" : whole.format(value);
}

export function digits(value, significant = 3) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  if (Math.abs(value) >= 10 ** (significant - 1)) return whole.format(value);
  return String(Number(value.toPrecision(significant)));
}

// Times have one unit in all pages, that of the stories: milliseconds. A duration has three digits, a moment all of them
// down to the microsecond, so that it can be found in a story.
export function milliseconds(value) {
  return value === null || value === undefined ? "–" : `${digits(value)} ms`;
}

// A moment of the run, given in seconds.
export function moment(seconds) {
  return seconds === null || seconds === undefined ? "–" : `${tick(seconds)} ms`;
}

// The axis of time of a chart.
export const TIME = { label: "ms of the run", show: moment, tick };

// The same on an axis whose label names the unit.
export function tick(seconds) {
  return thousandths.format(seconds * 1000);
}

export function percent(value) {
  return value === null || value === undefined ? "–" : `${Number((value * 100).toFixed(2))}%`;
}

export function share(part, all) {
  return all ? `${digits((100 * part) / all)}%` : "–";
}

// The union of intervals {from, to}, in order: where several overlap, one.
export function united(intervals) {
  const found = [];
  for (const { from, to } of [...intervals].sort((a, b) => a.from - b.from)) {
    const last = found.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else found.push({ from, to });
  }
  return found;
}
