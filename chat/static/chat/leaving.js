// Whether the page is left for another one of ours, or for good.

let moving = false;

/** Go to another page of ours. */
export function leave(url) {
  moving = true;
  location.assign(url);
}

export const movesOn = () => moving;

addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || link.target || link.origin !== location.origin) return;
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  moving = true;
  // A link within the page, or one that led nowhere, leaves nothing.
  setTimeout(() => (moving = false), 3000);
});
addEventListener("pageshow", () => (moving = false));
