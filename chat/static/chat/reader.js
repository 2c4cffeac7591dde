// Where the reader is: follow the end while they are there, stay put when they have scrolled away.

import { one } from "./dom.js";

const NEAR = 96;
let following = true;
let ours = 0;

const scroller = document.scrollingElement;
export const atEnd = () => scroller.scrollHeight - scroller.scrollTop - innerHeight < NEAR;

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
  ours = performance.now();
  scroller.scrollTop = scroller.scrollHeight;
  shown();
}

export function watch() {
  addEventListener(
    "scroll",
    () => {
      if (atEnd()) following = true;
      // Our own scrolling is reported late, when the page may have grown again.
      else if (performance.now() - ours > 150) following = false;
      shown();
    },
    { passive: true },
  );
  // Turning the wheel upwards is meant, even while the page grows.
  addEventListener("wheel", (event) => event.deltaY < 0 && scroller.scrollTop > 0 && (following = false), { passive: true });
  addEventListener("touchmove", () => !atEnd() && (following = false), { passive: true });
  one("#to-end")?.addEventListener("click", (event) => {
    event.preventDefault();
    toEnd();
  });
}
