// A long conversation opens at its end; what is above comes as the reader gets there.

import { all, one } from "./dom.js";
import { part } from "./fragments.js";
import { drawOmitted } from "./omitted.js";

// So many screens ahead of the reader, so that they seldom have to wait.
const AHEAD = 2;

const scroller = document.scrollingElement;

/** Put earlier messages above those that are shown as soon as the reader comes near; `added` is told of each. */
export function readUpwards(conversation, added) {
  let reading = false;

  const look = async () => {
    const place = one(".earlier", conversation);
    const link = place && one('a[href*="before="]', place);
    if (!link || reading || place.getBoundingClientRect().bottom < -AHEAD * innerHeight) return;
    reading = true;
    try {
      const page = await part(link.href, "#conversation");
      if (place.isConnected) above(place, page);
      reading = false;
      // A short page may leave the reader just as near.
      requestAnimationFrame(look);
    } catch {
      // The link is still there for whoever wants to try; scrolling tries again in a while.
      setTimeout(() => (reading = false), 5000);
    }
  };

  function above(place, page) {
    const messages = all(".message", page).filter(({ id }) => !document.getElementById(id));
    const further = one('.earlier a[href*="before="]', page);
    const first = one(".message", conversation);
    const top = first?.getBoundingClientRect().top ?? 0;
    messages.forEach(added);
    place.after(...messages);
    drawOmitted(conversation);
    if (further) one("a", place).href = further.getAttribute("href");
    else place.remove();
    // What is being read stays where it is, in browsers that do not see to it themselves, too.
    const moved = first ? first.getBoundingClientRect().top - top : 0;
    if (moved) scroller.scrollTop += moved;
  }

  addEventListener("scroll", look, { passive: true });
  look();
}
