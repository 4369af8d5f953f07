// Elements are made here alone, and text enters them as text: whatever a run contains, it never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

// Attributes: `class`, `title`, …; `style: {property: value}`; `on: {event: listener}`; null, undefined and false are left out.
export function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

// A part of the page: a heading with a link to itself, and what belongs below it. `missing`: why there is nothing to show.
export function section(id, heading, missing, ...children) {
  const content = missing ? [el("p", { class: "missing" }, missing)] : children;
  return el("section", { id, "aria-labelledby": `${id}-heading` },
    el("h2", { id: `${id}-heading` }, el("a", { href: `#${id}` }, heading)), ...content);
}

// Calls `draw(width)` now and whenever the element's width changes.
export function onWidth(element, draw) {
  let width = 0;
  const look = () => {
    const now = Math.floor(element.clientWidth);
    if (now > 0 && now !== width) draw((width = now));
  };
  new ResizeObserver(look).observe(element);
  look();
}

export function onColours(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
