// Small layers that open beside what was pressed.

const GAP = 6;

/** Show a popover, or move an open one that has grown: below an element, above it where there is no room. */
export function beside(popover, element) {
  if (!popover.matches(":popover-open")) popover.showPopover();
  const place = element.getBoundingClientRect();
  const size = popover.getBoundingClientRect();
  const below = place.bottom + GAP + size.height <= innerHeight;
  const top = below ? place.bottom + GAP : place.top - GAP - size.height;
  const left = Math.min(place.left, innerWidth - size.width - GAP);
  popover.style.top = `${Math.max(GAP, top)}px`;
  popover.style.left = `${Math.max(GAP, left)}px`;
}
