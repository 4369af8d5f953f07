import { moment } from "./format.js";

const MOST_LANES = 6;
const MOST_NAMES = 3; // of the others on a side of a cut network

// The faults that hit a node, in order. `faults`: [{from, to, label, name, open, targets, sides}]. Faults of one name with the same
// ends are one: `loss ×4`. `texts` are its names, the longest first.
export function hitsOf(node, faults) {
  const found = new Map();
  for (const fault of faults) {
    const side = fault.sides.find((one) => one.includes(node));
    if (!side && !fault.targets.includes(node)) continue;
    const others = side?.filter((one) => one !== node);
    const place = !others ? "" : others.length ? `, with ${inShort(others)}` : ", alone";
    const key = `${fault.from} ${fault.to} ${fault.name}${place}`;
    const told = others ? `${fault.label}: ${others.length ? `on the side of ${others.join(" ")}` : "alone"}` : fault.label;
    if (found.has(key)) found.get(key).told.push(told);
    else found.set(key, { from: fault.from, to: fault.to, open: fault.open, name: fault.name, place, told: [told] });
  }
  return [...found.values()].sort((a, b) => a.from - b.from || b.to - a.to).map((one) => {
    const name = one.told.length > 1 ? `${one.name} ×${one.told.length}` : one.name;
    return { ...one, texts: one.place ? [name + one.place, name] : [name] };
  });
}

// Spans in lanes: of those in one lane none overlap, unless there are very many.
export function inLanes(spans) {
  const lanes = [];
  for (const span of spans) {
    const free = lanes.find((lane) => lane.at(-1).to <= span.from && lane.at(-1).from < span.from);
    if (free) free.push(span);
    else if (lanes.length < MOST_LANES) lanes.push([span]);
    else lanes.at(-1).push(span);
  }
  return lanes;
}

// When a fault was in force, in words.
export function inForce({ from, to, open }) {
  return from === to && !open ? `at ${moment(from)}` : `${moment(from)} to ${open ? "the end" : moment(to)}`;
}

function inShort(names) {
  const more = names.length - MOST_NAMES;
  return more > 1 ? `${names.slice(0, MOST_NAMES).join(" ")} +${more}` : names.join(" ");
}
