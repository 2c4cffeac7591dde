// Marking in a message what somebody looked for, without touching the message.

import { one } from "./dom.js";

export function highlight(element, words) {
  if (!element || !words.trim() || !("highlights" in CSS)) return;
  // Not by the lower case of both: that of some letters is longer, and what follows would stand elsewhere.
  const sought = new RegExp(words.trim().replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "giu");
  const ranges = [];
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    for (const { 0: found, index } of node.data.matchAll(sought)) {
      const range = new Range();
      range.setStart(node, index);
      range.setEnd(node, index + found.length);
      ranges.push(range);
    }
  }
  CSS.highlights.set("sought", new Highlight(...ranges));
  // A long message is opened at the hit, not at its beginning.
  const first = ranges[0]?.startContainer.parentElement;
  if (first && !first.closest("details:not([open])")) first.scrollIntoView({ block: "center" });
}

export const target = () => (location.hash ? one(`#${CSS.escape(location.hash.slice(1))}`) : null);
