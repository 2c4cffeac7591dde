// Marking in a message what somebody looked for, without touching the message.

import { one } from "./dom.js";

export function highlight(element, words) {
  const sought = words.trim().toLowerCase();
  if (!element || !sought || !("highlights" in CSS)) return;
  const ranges = [];
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const content = node.data.toLowerCase();
    for (let at = content.indexOf(sought); at >= 0; at = content.indexOf(sought, at + sought.length)) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, Math.min(at + sought.length, node.length));
      ranges.push(range);
    }
  }
  CSS.highlights.set("sought", new Highlight(...ranges));
  // A long message is opened at the hit, not at its beginning.
  const first = ranges[0]?.startContainer.parentElement;
  if (first && !first.closest("details:not([open])")) first.scrollIntoView({ block: "center" });
}

export const target = () => (location.hash ? one(`#${CSS.escape(location.hash.slice(1))}`) : null);
