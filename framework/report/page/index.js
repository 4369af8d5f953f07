import { chart } from "./charts.js";
import { el, section } from "./dom.js";
import { count, digits, milliseconds, TIME } from "./format.js";
import { change, choice, verdictWord } from "./parts.js";
import { start } from "./start.js";
import { inFigures, table } from "./table.js";
import { zoomable } from "./zoom.js";

const ROWS = 200;

function page(data) {
  document.body.classList.add("wide");
  const chosen = [];
  const beside = el("div", { "aria-live": "polite" });
  const tray = el("div", { class: "tray", hidden: true });
  const boxes = new Map();
  const list = table(columns(pick), data.runs, { sortable: true, limit: ROWS });
  const shown = el("span", { class: "sub", role: "status" });
  let words = [];
  let verdict = "";

  const search = el("input", { type: "search", placeholder: "experiment, reason, setting, …", on: { input: () => { words = search.value.toLowerCase().split(/\s+/).filter(Boolean); filter(); } } });
  const found = new Map(data.runs.map((run) => [run, text(run)]));

  function filter() {
    const left = data.runs.filter((run) => (!verdict || run.verdict === verdict) && words.every((word) => found.get(run).includes(word)));
    shown.textContent = `${count(left.length)} of ${count(data.runs.length)} shown`;
    list.show(left);
  }

  function pick(run) {
    if (!boxes.has(run)) {
      const box = el("input", { type: "checkbox", "aria-label": `Compare ${run.name}`, disabled: run.kind !== "run", title: run.kind === "run" ? "Compare" : "A sweep has a report of its own", on: { change: () => choose(run, box.checked) } });
      boxes.set(run, box);
    }
    return boxes.get(run);
  }

  function choose(run, isChosen) {
    if (isChosen && chosen.length === 2) boxes.get(chosen.shift()).checked = false;
    if (isChosen) chosen.push(run);
    else chosen.splice(chosen.indexOf(run), 1);
    beside.replaceChildren(...(chosen.length === 2 ? [sideBySide(data, ...chosen)] : []));
    tray.hidden = chosen.length === 0;
    const told = chosen.length === 2 ? el("a", { href: "#compared" }, "Compare the two runs") : "Select another run to compare it with";
    tray.replaceChildren(chosen.map((one) => one.name).join(" and "), " · ", told, " ", el("button", { type: "button", on: { click: clear } }, "Clear"));
  }

  function clear() {
    for (const run of [...chosen]) {
      boxes.get(run).checked = false;
      choose(run, false);
    }
  }

  const verdicts = [{ value: "", label: "all" }, ...data.counts.map((one) => ({ value: one.verdict, label: `${one.verdict} (${count(one.runs)})` }))];
  filter();
  return [
    el("header", {}, el("h1", {}, data.title), el("p", { class: "sub" }, data.subtitle),
      el("p", { class: "controls" }, data.counts.map((one) => el("span", {}, `${count(one.runs)} `, verdictWord(one.verdict))))),
    beside,
    section("runs", "Runs", null,
      el("div", { class: "controls" }, el("label", {}, "Search ", search), choice("Verdict", verdicts, "", (value) => { verdict = value; filter(); }), shown),
      list.element),
    tray,
  ];
}

function columns(pick) {
  return [
    { head: "compare", plain: true, value: () => "", show: pick },
    { head: "experiment", value: (run) => run.experiment, show: (run) => [el("a", { href: run.link, title: run.reported ? "Its report" : "Its folder: it has no report" }, run.experiment || run.name), run.kind === "sweep" ? el("span", { class: "tag" }, "sweep") : null, el("div", { class: "folder" }, run.experiment ? run.name : "")] },
    { head: "verdict", value: (run) => run.verdict, show: (run) => el("span", { class: "nowrap" }, verdictWord(run.verdict)) },
    { head: "seed", number: true, value: (run) => run.seed, show: (run) => (run.seed === null ? "" : String(run.seed)) },
    { head: "ops/s", number: true, value: (run) => run.throughput, show: (run) => (run.throughput === null ? "" : digits(run.throughput, 4)) },
    { head: "p99", number: true, value: (run) => run.latency?.p99 ?? null, show: (run) => (run.latency ? milliseconds(run.latency.p99 ?? null) : "") },
    { head: "engine", value: (run) => run.engine },
    { head: "started", value: (run) => run.started, show: (run) => el("div", { class: "started" }, run.started.replace("T", " ").replace("Z", "")) },
    { head: "first reason", value: (run) => run.reasons[0] ?? "", show: (run) => long(run.reasons[0] ?? "") },
    { head: "not the default", value: (run) => run.differing.join(" "), show: (run) => long(run.differing.join("  ")) },
  ];
}

// A text of which a row shows the first lines.
function long(text) {
  return el("div", { class: "long", title: text }, text);
}

function text(run) {
  return [run.name, run.kind, run.experiment, run.engine, `seed=${run.seed}`, run.verdict, run.started, ...run.reasons, ...run.differing].join(" ").toLowerCase();
}

function sideBySide(data, one, other) {
  const measures = [
    ["operations ok", (run) => run.operations?.ok, count], ["operations fail", (run) => run.operations?.fail, count],
    ["operations unknown", (run) => run.operations?.unknown, count], ["operations/s", (run) => run.throughput, (value) => digits(value, 4)],
    ...["p50", "p95", "p99", "max"].map((name) => [`latency ${name}`, (run) => run.latency?.[name], milliseconds]),
  ].map(([name, of, show]) => ({ name, one: of(one) ?? null, other: of(other) ?? null, show }));
  const numbers = table([
    { head: "", value: (row) => row.name },
    { head: one.name, number: true, value: (row) => row.one, show: (row) => row.show(row.one) },
    { head: other.name, number: true, value: (row) => row.other, show: (row) => row.show(row.other) },
    { head: "difference", number: true, value: (row) => change(row.one, row.other) },
  ], measures);
  return section("compared", "Side by side", null,
    el("div", { class: "grid" }, [one, other].map(card)),
    ...curves([one, other]),
    el("h3", {}, "Numbers"), numbers.element,
    el("h3", {}, "Settings that differ"), settings(data, one, other));
}

// Throughput and latency of both runs over time, in the same charts.
function curves(runs) {
  const known = runs.filter((run) => run.curves);
  const lacking = runs.filter((run) => !run.curves).map((run) => el("p", { class: "missing" }, `${run.name}: no curves. ${run.no_curves}`));
  if (!known.length) return lacking;
  const at = [...new Set(known.flatMap((run) => run.curves.at))].sort((a, b) => a - b);
  const x = { values: at, ...TIME, to: at.at(-1) };
  const zoom = zoomable(0, x.to);
  // What one run has no interval for is undefined, which a line passes over; an interval without operations is null.
  const over = (run, values) => { const known = new Map(run.curves.at.map((time, place) => [time, values[place]])); return at.map((time) => known.get(time)); };
  const line = (run, name, label, show, dash) => ({ label, values: over(run, run.curves[name]), colour: runs.indexOf(run), dash, show, points: show === milliseconds || undefined });
  return [...lacking,
    chart({ sync: "compared", zoom, x, title: "Operations per second", y: { label: "operations/s", from: 0 }, series: known.map((run) => line(run, "rate", run.name, digits, 0)) }),
    chart({ sync: "compared", zoom, x, title: "Latency", note: "of operations that were answered ok", y: { label: "ms", log: true },
      series: known.flatMap((run) => ["p50", "p99"].map((name, place) => line(run, name, `${run.name} ${name}`, milliseconds, place))) }),
  ];
}

function card(run) {
  return el("div", { class: `verdict ${run.verdict}` }, verdictWord(run.verdict), el("a", { href: run.link }, run.name),
    el("span", {}, [run.experiment, run.engine, run.seed === null ? "" : `seed ${run.seed}`, run.started].filter(Boolean).join(" · ")),
    run.reasons.length > 0 && el("ul", {}, run.reasons.map((reason) => el("li", {}, reason))));
}

function settings(data, one, other) {
  if (![one, other].every((run) => Object.keys(run.settings).length || run.verdict !== "no verdict")) return el("p", { class: "missing" }, "The settings of both are not known.");
  const value = (run, key) => (key in run.settings ? run.settings[key] : data.shared[key] ?? null);
  const keys = [...new Set([...Object.keys(data.shared), ...Object.keys(one.settings), ...Object.keys(other.settings)])].sort();
  const rows = keys.map((key) => ({ key, one: value(one, key), other: value(other, key) }));
  const columns = [{ head: "setting", value: (row) => row.key }, { head: one.name, value: (row) => row.one ?? "–" }, { head: other.name, value: (row) => row.other ?? "–" }];
  const differing = rows.filter((row) => row.one !== row.other && row.key !== "run.dir");
  return el("div", {}, differing.length ? table(columns, differing).element : el("p", { class: "sub" }, "None."),
    inFigures(() => table(columns, rows).element, `All ${rows.length} settings`));
}

start(page);
