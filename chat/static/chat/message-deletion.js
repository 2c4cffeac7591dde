// Deleting a message with what follows it: hidden at once, deleted on the server when the time to undo is over.

import { request } from "./api.js";
import { unchangedSince } from "./deletions.js";
import { announce, clone, one } from "./dom.js";
import { text } from "./texts.js";

const UNDO_SECONDS = 10;

/** One deletion that can still be undone: `commit` carries it out, `undo` takes it back. */
export class MessageDeletion {
  #timer = 0;

  /**
   * Hide `message` and the elements `gone` with it. `since` is the conversation's `updatedAt` as the person has seen
   * it: if the conversation has been used after that, the server deletes nothing.
   *
   * `settled` is called once it is no longer pending, and `due` when the time is over.
   */
  constructor(message, gone, { since, settled, due }) {
    this.message = message;
    this.gone = gone;
    this.since = since;
    this.settled = settled;
    this.due = due;
    this.row = clone("t-deleted");
    one("span", this.row).textContent = text(gone.length > 1 ? "messagesDeleted" : "messageDeleted");
    gone.forEach((element) => (element.hidden = true));
    message.before(this.row);
    this.undoButton.addEventListener("click", () => this.undo());
    announce(one("span", this.row).textContent);
    this.#later();
  }

  get undoButton() {
    return one("button", this.row);
  }

  #over() {
    clearTimeout(this.#timer);
    this.row.remove();
    this.settled();
  }

  undo() {
    this.#over();
    this.gone.forEach((element) => (element.hidden = false));
    one("[data-delete]", this.message)?.focus();
  }

  /** Have the server delete now; where it refuses, everything is shown again and the failure is raised. */
  async commit({ keepalive = false } = {}) {
    this.#over();
    const path = unchangedSince(`/api/chat/messages/${this.message.dataset.message}`, this.since);
    try {
      await request("DELETE", path, { keepalive });
    } catch (failure) {
      if (failure.status !== 404) {
        this.gone.forEach((element) => (element.hidden = false));
        throw failure;
      }
    }
    this.gone.forEach((element) => element.remove());
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.row.matches(":hover, :focus-within")) this.#later();
      else this.due();
    }, UNDO_SECONDS * 1000);
  }
}
