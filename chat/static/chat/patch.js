// Making elements what they should be while keeping those that are right already: the reader's
// selection, focus and scrolled tables outlive it.

import { grow } from "./code.js";
import { one } from "./dom.js";
import { reset } from "./formulas.js";

/** Let the children of `parent`, from `old` on, be those of `fresh`; of kept ones, `old` is the first. */
export function patch(parent, fresh, old = parent.firstChild) {
  for (const node of [...fresh.childNodes]) {
    const next = old?.nextSibling ?? null;
    if (!old) parent.append(node);
    else if (!update(old, node)) old.replaceWith(node);
    old = next;
  }
  while (old) {
    const next = old.nextSibling;
    old.remove();
    old = next;
  }
}

/** Turn one node into another; return whether that could be done. */
function update(old, node) {
  if (old.nodeName !== node.nodeName) return false;
  if (old instanceof CharacterData) {
    if (node.data.startsWith(old.data)) {
      if (node.data.length > old.data.length) old.appendData(node.data.slice(old.data.length));
    } else {
      old.data = node.data;
    }
    return true;
  }
  if (old.matches("figure.code")) {
    if (captionOf(old) !== captionOf(node)) return false;
    grow(old, one("code", node).textContent);
    return true;
  }
  // What has become of a formula is not its source any more; while it is written, it cannot always be read.
  if (old.classList.contains("math") && old.source !== undefined) {
    reset(old, node.textContent);
    return true;
  }
  for (const { name } of [...old.attributes]) {
    if (!node.hasAttribute(name) && name !== "data-caret") old.removeAttribute(name);
  }
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  patch(old, node);
  return true;
}

const captionOf = (block) => one("figcaption", block).firstChild?.data ?? "";

/** Return what can be seen of some content: two that look the same have the same shape. */
export function shape(node) {
  if (node instanceof Text) return node.data;
  if (!(node instanceof Element)) return [...node.childNodes].map(shape).join("");
  if (node.matches("button")) return "";
  if (node.matches(".math")) return `<math>${node.source ?? node.textContent}</math>`;
  const tag = node.localName;
  const inner = tag === "code" ? node.textContent : [...node.childNodes].map(shape).join("");
  // White space between blocks, and before a line's end, is not seen.
  const seen = tag === "code" ? inner : inner.replace(/^\s+|\s+$|\s*\n\s*/g, (space) => (space.includes("\n") ? "" : space));
  const attributes = ["class", "href", "title", "start", "align", "rel", "target", "tabindex"]
    .filter((name) => node.hasAttribute(name))
    .map((name) => ` ${name}=${JSON.stringify(node.getAttribute(name))}`);
  return `<${tag}${attributes.join("")}>${seen}</${tag}>`;
}
