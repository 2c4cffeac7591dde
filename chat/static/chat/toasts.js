// What has just happened and can be undone for a while.

import { announce, clone, one } from "./dom.js";

/**
 * Say what happened. `undo` takes it back; `over` is called once nobody did, `seconds` later.
 *
 * Somebody who points at it or stands on it gets all the time they want.
 */
export function toast(words, { undo = null, over = () => {}, seconds = 10 } = {}) {
  const element = clone("t-toast");
  one("p", element).textContent = words;
  const button = one("[data-undo]", element);
  if (!undo) button.remove();
  let timer = 0;
  const end = (act) => {
    clearTimeout(timer);
    if (!element.isConnected) return;
    element.remove();
    act();
  };
  const start = () => {
    clearTimeout(timer);
    timer = setTimeout(() => end(over), seconds * 1000);
  };
  const held = () => clearTimeout(timer);
  const released = () => element.matches(":hover, :focus-within") || start();
  element.addEventListener("mouseenter", held);
  element.addEventListener("focusin", held);
  element.addEventListener("mouseleave", released);
  element.addEventListener("focusout", () => setTimeout(released));
  button.addEventListener("click", () => end(undo));
  one("[data-close]", element).addEventListener("click", () => end(over));
  one("#toasts").append(element);
  announce(words);
  start();
  return { close: () => end(() => {}), undo: () => undo && end(undo) };
}
