// Formulas: shown as their source until the part that sets them is there, which comes with the first one;
// in an answer that is being written, shown as nothing until they can be read.

import { all } from "./dom.js";

let set = null;
let loading = null;

/** Set every formula below `root` that is not set yet. While an answer is `growing`, none shows its source. */
export function decorate(root, { growing = false } = {}) {
  if (!growing) settle(root);
  const found = within(root).filter((place) => place.source === undefined);
  if (!found.length) return;
  if (growing) found.forEach(hold);
  if (set) {
    found.forEach(put);
    return;
  }
  loading ??= import("./math.js").then((math) => (set = math.set));
  loading.then(() => found.forEach((place) => !place.source && put(place)), () => (loading = null));
}

/** Set a formula that has grown. Where that cannot be, it stays as it was until `settle`. */
export function reset(place, source) {
  place.unread = undefined;
  if (source === place.source) return;
  // What is half written has been closed with braces.
  if (!source.startsWith(place.source.replace(/\}+$/, ""))) hold(place);
  place.unread = source;
  if (set) put(place);
}

/** Write out what could not be read, now that nothing will be added. */
export function settle(root) {
  for (const place of within(root)) {
    if (place.unread === undefined) continue;
    place.textContent = place.unread;
    place.removeAttribute("title");
    place.source = place.unread = undefined;
  }
}

const within = (root) => (root.matches?.(".math") ? [root] : all(".math", root));

/** Keep a formula's source back: it is likely to be half of one. */
function hold(place) {
  place.unread = place.textContent;
  place.source = "";
  place.removeAttribute("title");
  place.replaceChildren();
}

function put(place) {
  const source = place.unread ?? place.textContent;
  const formula = set(source, place.localName === "div");
  if (!formula) return;
  place.unread = undefined;
  place.source = source;
  place.title = source;
  // A wide one scrolls, for whoever has only a keyboard, too.
  if (place.localName === "div") place.tabIndex = 0;
  place.replaceChildren(formula);
}
