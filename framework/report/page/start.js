import { el } from "./dom.js";

// Fills the page from the data that it carries. `page(data)` returns the elements.
export function start(page) {
  const data = JSON.parse(document.getElementById("data").textContent);
  document.querySelector("main").append(...page(data).filter(Boolean));
  document.body.append(el("footer", {}, data.made));
  document.documentElement.dataset.ready = "true";
}
