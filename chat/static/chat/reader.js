// Where the reader is: follow the end while they are there, stay put when they have scrolled away.
//
// What tells is where the page has moved to, never when: while an answer grows we scroll at every
// frame, and the reader in between.

import { one } from "./dom.js";

const NEAR = 96;
const UPWARDS = new Set(["ArrowUp", "PageUp", "Home"]);
// Here such keys do something else.
const OWN_KEYS = "input, textarea, select, dialog, [popover], .sidebar";
let following = true;
let last = { top: 0, end: 0 };

const scroller = document.scrollingElement;
export const atEnd = () => scroller.scrollHeight - scroller.scrollTop - innerHeight < NEAR;

/** Return where the page is, and how far down it can be; some browsers let it spring beyond that. */
function place() {
  const end = Math.max(0, scroller.scrollHeight - scroller.clientHeight);
  return { top: Math.min(scroller.scrollTop, end), end };
}

function shown() {
  const button = one("#to-end");
  if (button) button.hidden = following || atEnd();
}

/** Call after the conversation has grown. */
export function grown() {
  if (following) toEnd();
  else shown();
}

export function toEnd() {
  following = true;
  scroller.scrollTop = scroller.scrollHeight;
  last = place();
  shown();
}

function moved() {
  const now = place();
  const up = last.top - now.top;
  const shrunk = Math.max(0, last.end - now.end);
  // A page that gets shorter moves up by itself, by that much.
  if (up > shrunk + 1) following = false;
  else if (up < 0) following = atEnd();
  last = now;
  shown();
}

function leave() {
  if (scroller.scrollTop > 0) following = false;
  shown();
}

export function watch() {
  last = place();
  following = atEnd();
  addEventListener("scroll", moved, { passive: true });
  // Turning the wheel upwards is meant, and so are these keys, before the page has moved at all.
  addEventListener("wheel", (event) => event.deltaY < 0 && leave(), { passive: true });
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.target.closest?.(OWN_KEYS)) return;
    const space = event.key === " " && event.shiftKey && !event.target.closest?.("button, summary");
    if (space || UPWARDS.has(event.key)) leave();
  });
  one("#to-end")?.addEventListener("click", (event) => {
    event.preventDefault();
    toEnd();
  });
}
