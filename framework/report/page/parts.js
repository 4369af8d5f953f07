import { el } from "./dom.js";

// Parts that several pages have.

const SIGNS = { valid: "✓", invalid: "✕", unknown: "?" };

// A verdict as shape, word and colour. A status without a verdict has the sign of an open circle.
export function verdictWord(verdict) {
  return el("span", { class: `word ${verdict in SIGNS ? verdict : "none"}` }, `${SIGNS[verdict] ?? "○"} ${verdict}`);
}

// A line to copy.
export function copyable(text) {
  const button = el("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text).then(() => { button.textContent = "Copied"; }, () => { button.textContent = "Select and copy it"; });
  });
  return el("div", { class: "command" }, el("pre", { class: "wrap" }, text), button);
}

// A select with a label. `options`: [{value, label}].
export function choice(label, options, chosen, onChange) {
  const select = el("select", { "aria-label": label, on: { change: () => onChange(select.value) } },
    options.map((option) => el("option", { value: option.value, selected: option.value === chosen }, option.label)));
  return el("label", {}, `${label} `, select);
}

// Something that grew or fell from `from` to `to`, in percent of `from`.
export function change(from, to) {
  if (from === null || to === null || from === undefined || to === undefined || from === 0) return "–";
  const percent = (100 * (to - from)) / Math.abs(from);
  return `${percent > 0 ? "+" : percent < 0 ? "−" : "±"}${Number(Math.abs(percent).toPrecision(3))}%`;
}
