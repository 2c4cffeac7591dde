// An open conversation that another tab or another device deletes.

import { hear } from "./channel.js";
import { deletions, isDeleted, keep } from "./deletions.js";
import { announce, clone, one } from "./dom.js";
import { text } from "./texts.js";

/** Say on the page that its conversation is being deleted, or is deleted, elsewhere; using it takes that back. */
export function watchDeletion(conversation) {
  let row = null;
  const show = () => {
    const { sessionId } = conversation;
    const deleted = sessionId !== null && !conversation.gone && isDeleted(sessionId);
    if (deleted === (row !== null)) return;
    row?.remove();
    row = deleted ? note(sessionId) : null;
  };
  deletions.addEventListener("changed", show);
  // A question, an answer or a continuation that begins here keeps the conversation.
  conversation.addEventListener("changed", () => conversation.busy && conversation.sessionId && keep(conversation.sessionId));
  hear(({ name, sessionId }) => {
    if (name === "gone" && sessionId === conversation.sessionId) conversation.lose();
  });
  show();
}

/** Return what stands above the composer as long as the deletion can be undone. */
function note(sessionId) {
  const row = clone("t-deleted");
  one("span", row).textContent = text("deletedElsewhere");
  one("button", row).addEventListener("click", () => keep(sessionId));
  (one(".dock") ?? one("#conversation")).prepend(row);
  announce(text("deletedElsewhere"));
  return row;
}
