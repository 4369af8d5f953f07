const CLOSEST = 1e-5; // the smallest part of an axis that can be shown
const STEP = 2; // what a key zooms by

// The part of an axis that is shown; charts and timelines that are given the same one are zoomed together. `from` and `to` are the
// ends of the axis. `log`: keys zoom by equal factors.
export function zoomable(from, to, { log = false } = {}) {
  const watchers = [];
  const [along, back] = log && from > 0 ? [Math.log, Math.exp] : [Number, Number];
  let shown = null;

  function show(first, last) {
    const [low, high] = [Math.max(from, Math.min(first, last)), Math.min(to, Math.max(first, last))];
    if (!(high - low > CLOSEST * (to - from))) return;
    shown = low <= from && high >= to ? null : { from: low, to: high };
    watchers.forEach((watcher) => watcher());
  }

  // Shows `factor` times as much, about a value that stays in its place.
  function scale(factor, about) {
    const [low, high] = [along(zoom.shown.from), along(zoom.shown.to)];
    const middle = about === undefined ? (low + high) / 2 : along(about);
    show(back(middle - (middle - low) * factor), back(middle + (high - middle) * factor));
  }

  const zoom = {
    get shown() { return shown ?? { from, to }; },
    get isZoomed() { return shown !== null; },
    show,
    whole() { show(from, to); },
    // Moves along the axis by a part of what is shown.
    move(part) {
      const { from: low, to: high } = zoom.shown;
      const by = Math.max(from - low, Math.min(to - high, part * (high - low)));
      show(low + by, high + by);
    },
    watch(watcher) { watchers.push(watcher); },
    // Follows a key that zooms, about a value if one is given; returns whether it was one.
    follows(key, about) {
      if (key === "+" || key === "=") scale(1 / STEP, about);
      else if (key === "-" || key === "_") scale(STEP, about);
      else if (key === "0") zoom.whole();
      else return false;
      return true;
    },
  };
  return zoom;
}
