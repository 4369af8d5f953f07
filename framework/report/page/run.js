import { chart } from "./charts.js";
import { el, section } from "./dom.js";
import { count, digits, milliseconds, moment, percent, TIME } from "./format.js";
import { copyable, verdictWord } from "./parts.js";
import { start } from "./start.js";
import { inFigures, table } from "./table.js";
import { timeline } from "./timeline.js";
import { zoomable } from "./zoom.js";

const SHOWN = 0.1; // the part of a run before its failure that is shown of it
const LEAST = 0.2; // seconds of it, at least
const AFTER = 0.1; // what is shown after the failure, as a part of what is shown before
const OF_PROTOCOL = "protocol."; // how the names of its settings begin
const WIDE = 7; // endpoints beyond which the table of links has no room beside that of types

function page(data) {
  const bands = data.faults;
  const failures = data.failures;
  const marks = data.leaders.map((one) => ({ at: one.at, label: `${one.node} leads${one.term === null ? "" : `, term ${one.term}`}` }));
  const over = { bands, marks, failures, zoom: zoomable(0, end(data)) };
  const parts = [
    ["load", "Throughput and latency", load(data, over)],
    ["nodes", "Nodes", nodes(data, over)],
    ["faults", "Faults", faults(data)],
    ["messages", "Messages", messages(data)],
    ["checks", "Checks", checks(data)],
    ["config", "Configuration", config(data)],
  ];
  return [header(data), nav(data, parts), tiles(data), ...parts.map(([id, heading, content]) => section(id, heading, data.missing[id], ...content))];
}

function nav(data, parts) {
  const links = parts.map(([id, heading]) => [id, heading]);
  if (data.config.some((row) => row.key.startsWith(OF_PROTOCOL))) links.push(["protocol", "Settings of the protocol"]);
  return el("nav", { "aria-label": "Parts of this report" }, links.map(([id, heading]) => el("a", { href: `#${id}` }, heading)));
}

function header(data) {
  const reasons = data.reasons.slice(0, 20);
  const verdict = el("div", { class: `verdict ${data.verdict}`, role: "status" },
    el("strong", {}, { valid: "✓ ", invalid: "✕ ", unknown: "? " }[data.verdict] ?? "", data.verdict),
    reasons.length === 1 ? el("span", {}, reasons[0]) : reasons.length ? el("ul", {}, reasons.map((reason) => el("li", {}, reason))) : el("span", {}, data.summary));
  const stories = data.stories.map((story) => el("div", { class: "story" }, el("h3", {}, `The evidence, by ${story.name}`), el("pre", {}, story.lines.map(storyLine))));
  const warnings = data.warnings.map((warning) => el("p", { class: "missing" }, warning));
  return el("header", {}, el("h1", {}, data.title), el("p", { class: "sub" }, data.subtitle), verdict, warnings, stories,
    data.command && el("div", {}, el("h3", {}, "To run it again"), copyable(data.command)));
}

// A long line goes on below itself; the one at which the run failed stands out.
function storyLine(line) {
  return el("span", { class: line.endsWith("← here it broke") ? "line broke" : "line" }, `${line}\n`);
}

function tiles(data) {
  return el("div", { class: "tiles" }, data.tiles.map((tile) =>
    el("div", { class: "tile" }, el("div", { class: "label" }, tile.label), el("div", { class: "big" }, tile.value), tile.more && el("div", { class: "more" }, tile.more))));
}

// The end of the axis of time: a failure at the very end is not at the edge.
function end(data) {
  return data.failures.some((one) => one.at > 0.99 * data.end) ? 1.01 * data.end : data.end;
}

function load(data, over) {
  if (!data.load) return [];
  const { at, groups, cdf } = data.load;
  const { bands, marks, failures } = over;
  const one = { sync: "time", ...over, x: { values: at, ...TIME, to: end(data) } };
  const bad = groups.some((group) => group.unanswered.some((value) => value)) ? [{
    label: "not answered ok", colour: 4, dash: 2, show: digits,
    values: at.map((_, place) => groups.reduce((sum, group) => sum + group.unanswered[place], 0)),
  }] : [];
  if (!cdf.at.length) return [el("p", { class: "missing" }, "No operation was answered ok."), chart({ ...one, title: "Operations per second", y: { label: "operations/s", from: 0 }, series: bad })];
  const hint = "Drag over a chart or the roles to zoom all that show the time; a double click zooms out. Where one has the focus: the keys + and −, and 0 for the whole run.";
  const told = [bands.length && "shaded: a fault is in force", marks.length && "▼ a leader begins", failures.length && "✕ the run failed", data.warmup && `the first ${moment(data.warmup)} are the warm-up`].filter(Boolean).join(" · ");
  return [
    el("p", { class: "sub hint" }, hint),
    chart({ ...one, title: "Operations per second", note: told, y: { label: "operations/s", from: 0 }, series: [...groups.map((group, place) => ({ label: group.name, values: group.rate, colour: place, show: digits })), ...bad] }),
    chart({ ...one, title: "Latency", note: "of operations that were answered ok", y: { label: "ms", log: true }, series: groups.flatMap((group, place) => [
      { label: `${group.name} p50`, values: group.p50, colour: place, show: milliseconds, points: true },
      { label: `${group.name} p99`, values: group.p99, colour: place, dash: 1, show: milliseconds, points: true },
    ]) }),
    chart({ title: "Latency distribution", note: `share of operations at most this slow${data.warmup ? ", after the warm-up" : ""}`, stepped: true, x: { values: cdf.at, label: "ms", show: milliseconds, log: true }, y: { label: "share", from: 0, to: 1 },
      series: cdf.groups.map((group, place) => ({ label: group.name, values: group.share, colour: place, show: percent })) }),
  ];
}

function nodes(data, over) {
  if (!data.nodes) return [];
  const { rows, states, progress, left_out: more } = data.nodes;
  return [
    zoomButtons(data, over.zoom),
    timeline({ title: "Roles", note: more ? `${count(more)} more nodes, to which less happened, are left out` : "hover a span or a fault for its details", rows, states, ...over }),
    progress && chart({ title: `${progress.grows ? "Progress" : "Status"}: ${progress.field}`, sync: "time", ...over, stepped: true, x: { values: progress.at, ...TIME, to: end(data) }, y: { label: progress.field },
      series: progress.nodes.map((node, place) => ({ label: node.name, values: node.values, colour: place, dash: Math.floor(place / 4), show: count })) }),
  ];
}

function zoomButtons({ failures }, zoom) {
  const [first] = failures;
  const button = (label, click) => el("button", { type: "button", on: { click } }, label);
  const before = Math.max(SHOWN * zoom.shown.to, LEAST);
  const toFailure = first && button("zoom to the failure", () => zoom.show(first.at - before, first.at + AFTER * before));
  const toWhole = button("show the whole run", () => zoom.whole());
  const look = () => { toWhole.hidden = !zoom.isZoomed; };
  zoom.watch(look);
  look();
  return el("div", { class: "controls zoom" }, toFailure, toWhole);
}

function faults(data) {
  if (!data.ledger.length) return [el("p", { class: "sub" }, "No faults were injected."), crashes(data)];
  const ledger = table([
    { head: "fault", value: (row) => row.fault },
    { head: "due", number: true, value: (row) => row.due, show: (row) => count(row.due) },
    { head: "fired", number: true, value: (row) => row.fired, show: (row) => count(row.fired) },
    { head: "touched", value: (row) => row.touched },
    { head: "against", value: (row) => row.against },
    { head: "roles", value: (row) => row.roles },
  ], data.ledger);
  const [failure] = data.failures;
  const spans = table([
    { head: "fault", value: (row) => row.label },
    { head: "from", number: true, value: (row) => row.from, show: (row) => moment(row.from) },
    { head: "to", number: true, value: (row) => row.to, show: (row) => (row.open ? "to the end" : moment(row.to)) },
    ...(failure ? [{ head: `at the failure (${failure.label}, ${moment(failure.at)})`, value: (row) => whenAt(failure.at, row) }] : []),
  ], data.faults, { limit: 50 });
  return [ledger.element, data.faults.length > 0 && inFigures(() => spans.element, "When each was in force"), crashes(data)].filter(Boolean);
}

// Where the failure of a run stands to the time in which a fault was in force.
function whenAt(failure, { from, to, open }) {
  if (from > failure) return `began ${milliseconds(1000 * (from - failure))} after it`;
  if (open || to >= failure) return "in force";
  return `${from === to ? "fired" : "ended"} ${milliseconds(1000 * (failure - to))} before it`;
}

function crashes(data) {
  if (!data.crashes.length) return null;
  return el("div", {}, el("h3", {}, "Crashes"), table([
    { head: "node", value: (row) => row.node },
    { head: "at", number: true, value: (row) => row.at, show: (row) => moment(row.at) },
    { head: "why", value: (row) => row.why, show: (row) => (row.traceback ? el("details", {}, el("summary", {}, row.why), el("pre", {}, row.traceback)) : row.why) },
  ], data.crashes, { limit: 10 }).element);
}

function messages(data) {
  const { types, links } = data.messages;
  const repeated = types.some((row) => row.repeated);
  const counts = table([
    { head: "message", value: (row) => row.name },
    { head: "delivered", number: true, value: (row) => row.delivered, show: (row) => count(row.delivered) },
    { head: "lost", number: true, value: (row) => row.lost, show: (row) => count(row.lost) },
    ...(repeated ? [{ head: "repeated", number: true, value: (row) => row.repeated, show: (row) => count(row.repeated) }] : []),
  ], types, { limit: 40 });
  const isWide = typeof links !== "string" && links.names.length > WIDE;
  return [el("div", { class: isWide ? "" : "grid" }, el("div", {}, el("h3", {}, "By type"), counts.element),
    el("div", {}, el("h3", {}, "By link"), typeof links === "string" ? el("p", { class: "missing" }, links) : matrix(links)))];
}

function matrix({ names, delivered, lost, why }) {
  const most = Math.max(1, ...delivered.flat());
  return el("div", { class: "scroll" }, el("table", { class: "matrix" },
    el("caption", {}, "Delivered from the row's to the column's; lost ones below."),
    el("thead", {}, el("tr", {}, el("td"), names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, names.map((from, row) => el("tr", {}, el("th", { scope: "row" }, from), names.map((to, column) => {
      const many = delivered[row][column];
      const gone = lost[row][column];
      const share = Math.round(Math.sqrt(many / most) * 45);
      return el("td", { title: `${from} to ${to}: ${count(many)} delivered, ${count(gone)} lost${why[row][column] ? ` (${why[row][column]})` : ""}`, style: many ? { "background-color": `color-mix(in srgb, var(--c0) ${share}%, transparent)` } : {} },
        many || gone ? count(many) : "", gone ? el("span", { class: "lost" }, `${count(gone)} lost`) : null);
    }))))));
}

function checks(data) {
  const parts = [table([
    { head: "check", value: (row) => row.name },
    { head: "verdict", value: (row) => row.verdict, show: (row) => verdictWord(row.verdict) },
    { head: "why", value: (row) => row.reason },
  ], data.checks).element];
  if (data.sometimes.length) {
    parts.push(el("h3", {}, "Coverage: what should happen in some runs"), table([
      { head: "event", value: (row) => row.name },
      { head: "times", number: true, value: (row) => row.times, show: (row) => count(row.times) },
    ], data.sometimes).element);
  }
  if (data.notes.length) {
    parts.push(el("h3", {}, "Notes of the protocol"), table([
      { head: "note", value: (row) => row.name },
      { head: "times", number: true, value: (row) => row.times, show: (row) => count(row.times) },
    ], data.notes, { limit: 20 }).element);
  }
  return parts;
}

function config(data) {
  const columns = [
    { head: "setting", value: (row) => row.key },
    { head: "value", value: (row) => row.value },
    { head: "default", value: (row) => row.usual ?? "", show: (row) => (row.differs ? row.usual ?? "–" : "") },
  ];
  const isOwn = (row) => row.key.startsWith(OF_PROTOCOL);
  const own = data.config.filter(isOwn);
  const differing = data.config.filter((row) => row.differs && !isOwn(row));
  const ofFaults = differing.filter((row) => row.key.startsWith("faults."));
  const ordered = [...ofFaults, ...differing.filter((row) => !ofFaults.includes(row))];
  const parts = own.length ? [el("h3", { id: "protocol" }, "Settings of the protocol"), table(columns, own, { mark: (row) => row.differs && "differs" }).element] : [];
  parts.push(el("h3", {}, own.length ? "What else differs from the defaults" : "What differs from the defaults"));
  parts.push(ordered.length ? table(columns, ordered).element : el("p", { class: "sub" }, "Nothing."));
  parts.push(inFigures(() => table(columns, data.config, { mark: (row) => row.differs && "differs" }).element, `All ${data.config.length} settings`));
  if (data.versions.length) parts.push(el("p", { class: "sub" }, data.versions.join(" · ")));
  return parts;
}

start(page);
