const LETTER = 7.2;

// Room for the labels of rows: beside them, or above each if they would leave too little. `cut(label)` fits there.
export function labelled(labels, width) {
  const wanted = 10 + LETTER * Math.max(...labels.map((label) => label.length));
  const isAbove = wanted > 0.38 * width;
  const most = Math.floor((width - 60) / LETTER);
  return { isAbove, left: isAbove ? 8 : wanted, above: isAbove ? 16 : 0, cut: (label) => (label.length > most ? `${label.slice(0, most - 1)}…` : label) };
}

const number = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });

// A scale for values: `at(value)` is 0 … 1 along the axis, `ticks(most)` are round values on it, `show` formats them.
// `anchored`: zero is on the scale.
export function scaled(values, { log = false, anchored = false } = {}) {
  const known = values.filter((value) => value !== null && value !== undefined && (!log || value > 0));
  let low = Math.min(...known, ...(anchored ? [0] : []));
  let high = Math.max(...known, ...(anchored ? [0] : []));
  if (!known.length) [low, high] = log ? [1, 10] : [0, 1];
  if (log) {
    [low, high] = low === high ? [low / 1.5, high * 1.5] : [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
    const along = (value) => (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low));
    return { at: (value) => (value > 0 ? along(value) : 0), ticks: (most) => logTicks(low, high, most), show: number.format };
  }
  if (!anchored && low >= 0 && low < 0.4 * high) low = 0;
  const room = (high - low || Math.abs(high) * 0.1 || 1) * 0.05;
  [low, high] = [low === 0 && !anchored ? 0 : low - room, high + room];
  return { at: (value) => (value - low) / (high - low), ticks: (most) => linearTicks(low, high, most), show: number.format };
}

// Whether values are all above zero, and of such different sizes that a logarithmic scale shows more of them.
export function isWide(values) {
  return values.length > 0 && Math.min(...values) > 0 && Math.max(...values) > 30 * Math.min(...values);
}

function linearTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((digit) => digit * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, place) => Number(((first + place) * step).toPrecision(12)));
}

function logTicks(low, high, most) {
  const powers = Array.from({ length: Math.floor(Math.log10(high)) - Math.floor(Math.log10(low)) + 1 }, (_, place) => Math.floor(Math.log10(low)) + place);
  for (const digitsOf of [[1, 2, 5], [1, 3], [1]]) {
    const found = powers.flatMap((power) => digitsOf.map((digit) => Number((digit * 10 ** power).toPrecision(6)))).filter((value) => value >= low && value <= high);
    if (found.length <= most && found.length > 1) return found;
  }
  const tens = powers.map((power) => 10 ** power).filter((value) => value >= low && value <= high);
  return tens.length > 1 ? tens.filter((_, place) => place % Math.ceil(tens.length / Math.max(1, most)) === 0) : linearTicks(low, high, most).filter((value) => value > 0);
}
