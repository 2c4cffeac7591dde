// Formulas: shown as their source until the part that sets them is there, which comes with the first one.

import { all } from "./dom.js";

let set = null;
let loading = null;

/** Set every formula below `root` that is not set yet. */
export function decorate(root) {
  const found = all(".math", root).filter((place) => place.source === undefined);
  if (root.matches?.(".math") && root.source === undefined) found.push(root);
  if (!found.length) return;
  if (set) {
    found.forEach(put);
    return;
  }
  loading ??= import("./math.js").then((math) => (set = math.set));
  loading.then(() => found.forEach((place) => place.source === undefined && put(place)), () => (loading = null));
}

/** Set a formula that has grown. Where that cannot be, it stays as it was until `settle`. */
export function reset(place, source) {
  place.unread = undefined;
  if (source === place.source) return;
  if (source.startsWith(place.source) && !set(source, false)) {
    place.unread = source;
  } else {
    place.textContent = source;
    put(place);
  }
}

/** Write out what could not be read, now that nothing will be added. */
export function settle(root) {
  for (const place of root.matches(".math") ? [root] : all(".math", root)) {
    if (place.unread === undefined) continue;
    place.textContent = place.unread;
    place.removeAttribute("title");
    place.source = place.unread = undefined;
  }
}

function put(place) {
  const source = place.textContent;
  place.source = undefined;
  const formula = set(source, place.localName === "div");
  if (!formula) return;
  place.source = source;
  place.title = source;
  // A wide one scrolls, for whoever has only a keyboard, too.
  if (place.localName === "div") place.tabIndex = 0;
  place.replaceChildren(formula);
}
