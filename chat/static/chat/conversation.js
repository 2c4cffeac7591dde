// A conversation in the page: sending, following, stopping, asking again, editing, deleting.

import { Failure, json, newKey } from "./api.js";
import { LiveAnswer } from "./answer.js";
import * as code from "./code.js";
import { copy } from "./copying.js";
import { all, announce, clone, one, pause } from "./dom.js";
import { confirmed, sent, unconfirmed } from "./drafts.js";
import { edit } from "./editor.js";
import * as formulas from "./formulas.js";
import { notice, wait } from "./failures.js";
import { resumed, started } from "./following.js";
import { fragment, part } from "./fragments.js";
import { leave } from "./leaving.js";
import { lastSeen } from "./list.js";
import { MessageDeletion } from "./message-deletion.js";
import { copyOmitted, showOmitted } from "./omitted.js";
import { atEnd, toEnd } from "./reader.js";
import * as storage from "./storage.js";
import { data, text } from "./texts.js";

/**
 * Tells `changed` when an answer begins or is over, `opened` when the server has it, `refused` with what could not
 * be sent, `again` when somebody wants another answer, and `rearranged` when a branch was chosen or a message deleted.
 */
export class Conversation extends EventTarget {
  #closeEditor = null;
  #deleting = null;

  constructor(element) {
    super();
    this.element = element;
    this.sessionId = element.dataset.session || null;
    // What is shown is not the end of the conversation.
    this.past = element.dataset.past !== undefined;
    this.running = null;
    this.stopping = false;
    // Whether the server has said that it is deleted.
    this.gone = false;
    // Whatever has to be stored before the next answer may begin.
    this.settled = Promise.resolve();
    element.addEventListener("click", (event) => this.#clicked(event));
    addEventListener("pagehide", () => this.#commitLast());
    this.decorate(element);
    this.#hideDeleted();
  }

  get busy() {
    return this.running !== null;
  }

  get #messages() {
    return all(".message", this.element);
  }

  /** Pick up the answer that was being written when this page was opened. */
  resume() {
    const element = one("[data-event-id]", this.element);
    if (element && this.sessionId && !this.busy) {
      const { eventId } = element.dataset;
      this.#follow(resumed(this.sessionId, eventId), new LiveAnswer(element));
    }
  }

  /** Return what an earlier page has sent without hearing whether it arrived, unless it did. */
  unconfirmed() {
    const found = unconfirmed(this.sessionId);
    if (!found) return null;
    const last = all(".message.user .bubble", this.element).at(-1);
    if (last?.textContent !== found.body.message) return found.body;
    confirmed(this.sessionId);
    return null;
  }

  /** Send a message. Where it is refused, it is taken out of the page again and `refused` is told. */
  async send({ message, provider, model, mode, context }) {
    const hidden = [one("#welcome", this.element), one(".empty", this.element)].filter(Boolean);
    // What is continued stands at the end of its branch, and that is elsewhere now.
    hidden.push(...all(".actions [data-continue]", this.element));
    hidden.forEach((element) => (element.hidden = true));
    this.clearTrouble();
    const question = clone("t-user");
    unnamed(question);
    one(".bubble", question).textContent = message;
    const answer = this.#blank(model);
    this.element.append(question, answer.element);
    toEnd();
    const from = this.sessionId;
    const body = { message, provider, model, mode, ...(context && { context }), ...(from && { sessionId: from }) };
    // A request that may have arrived is repeated under its own key: the server answers it once.
    const earlier = unconfirmed(from);
    const key = earlier && JSON.stringify(earlier.body) === JSON.stringify(body) ? earlier.key : newKey();
    sent(from, key, body);
    await this.#begin("/api/chat/stream", body, key, answer, {
      opened: (event) => {
        confirmed(from);
        hidden.forEach((element) => element.remove());
        this.#name(question, event.data.userMessageId);
      },
      refused: (failure) => {
        // It was told that nothing began: the next try may be another message.
        if (failure.status && failure.status < 500) confirmed(from);
        question.remove();
        answer.remove();
        hidden.forEach((element) => (element.hidden = false));
        this.dispatchEvent(new CustomEvent("refused", { detail: { message, failure, provider } }));
      },
    });
  }

  /** Ask for another answer in the place of `old`, or to the question that `old` is. */
  async regenerate(old, { provider = "", model = "" } = {}, key = newKey()) {
    this.clearTrouble();
    const answer = this.#blank(model || (one(".model", old)?.textContent ?? ""));
    const below = following(old.matches(".user") ? old.nextElementSibling : old);
    if (old.matches(".user")) old.after(answer.element);
    else old.before(answer.element);
    below.forEach((element) => element.remove());
    answer.element.scrollIntoView({ block: "nearest" });
    const body = { messageId: old.dataset.message, provider, model };
    await this.#begin(`/api/chat/sessions/${this.sessionId}/regenerate`, body, key, answer, {
      refused: (failure) => {
        answer.element.replaceWith(...below);
        answer.remove();
        this.trouble(failure, { provider, again: () => this.regenerate(old, { provider, model }, key) });
      },
    });
  }

  /** Let a cut answer go on: the same message grows. */
  async continue(old, key = newKey()) {
    this.clearTrouble();
    const answer = this.#blank(one(".model", old)?.textContent ?? "");
    const reasoning = one(".reasoning-text", old)?.textContent;
    if (reasoning) answer.receive("reasoning", reasoning);
    answer.receive("message", one(".source", old).content.textContent);
    old.replaceWith(answer.element);
    this.#name(answer.element, old.dataset.message);
    await this.#begin(`/api/chat/messages/${old.dataset.message}/continue`, {}, key, answer, {
      refused: (failure) => {
        answer.element.replaceWith(old);
        answer.remove();
        this.trouble(failure, { again: () => this.continue(old, key) });
      },
    });
  }

  /** Open the editor in a question; what is sent from it begins a new branch. */
  edit(message) {
    this.#closeEditor?.();
    const close = edit(message, (words) => this.#branch(message, words, newKey()));
    this.#closeEditor = () => {
      close();
      this.#closeEditor = null;
    };
  }

  async #branch(old, words, key) {
    if (this.busy) {
      announce(text("answering"));
      return;
    }
    this.clearTrouble();
    const question = clone("t-user");
    unnamed(question);
    one(".bubble", question).textContent = words;
    const answer = this.#blank("");
    const below = following(old);
    old.before(question, answer.element);
    below.forEach((element) => element.remove());
    question.scrollIntoView({ block: "nearest" });
    await this.#begin(`/api/chat/messages/${old.dataset.message}/edit`, { message: words }, key, answer, {
      opened: async ({ data: { userMessageId } }) => {
        this.#closeEditor = null;
        this.#name(question, userMessageId);
        // With its place among the other wordings.
        const [fresh] = await fragment(this.#pathOf(userMessageId)).catch(() => []);
        if (fresh) question.replaceWith(fresh);
      },
      refused: (failure) => {
        question.replaceWith(...below);
        answer.remove();
        one(".editor textarea", old)?.focus();
        this.trouble(failure, { again: () => this.#branch(old, words, key) });
      },
    });
  }

  async stop() {
    if (!this.busy || this.stopping) return;
    this.stopping = true;
    try {
      // Before the first event there is no conversation to name: the stop waits for it.
      if (this.sessionId) await json("POST", `/api/chat/sessions/${this.sessionId}/stop`);
    } catch (failure) {
      this.stopping = false;
      this.trouble(failure, { again: () => this.stop() });
    }
  }

  /** Start an answer, once everything before it is stored. */
  async #begin(path, body, key, answer, handlers) {
    // From here on nothing else may begin.
    this.#busy(answer);
    try {
      await this.deleted();
      await this.settled;
    } catch (failure) {
      this.#busy(null);
      // What others have written since is shown first: it is why a deletion before this was refused.
      if (failure.code === "session_changed") await this.sync();
      handlers.refused(failure);
      return;
    }
    await this.#follow(started(path, body, key), answer, handlers);
  }

  async #follow(events, answer, { opened = () => {}, refused = (failure) => this.trouble(failure) } = {}) {
    this.#busy(answer);
    let begun = Boolean(answer.element.dataset.eventId);
    let failed = null;
    try {
      for await (const event of events) {
        if (event.name === "session") {
          begun = true;
          if (event.data.reset) answer.restart();
          this.#name(answer.element, event.data.messageId);
          this.#opened(event.data);
          showOmitted(this.element, event.data.context);
          opened(event);
        } else if (event.name === "reasoning" || event.name === "message") {
          answer.receive(event.name, event.data.content);
        } else if (event.name === "cut") {
          answer.cut();
        } else {
          await this.#ended(event, answer);
        }
      }
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      failed = failure;
      if (begun) await this.#ended({ name: "error", data: {} }, answer);
    } finally {
      this.#busy(null);
    }
    if (failed && begun) this.trouble(failed);
    else if (failed) refused(failed);
    this.#mend();
  }

  /** An answer whose end could not be read, because the server went with it, is read once it is back. */
  async #mend() {
    // Where the person has to do something first, a notice says so.
    const unread = () => one(".answer[data-status=streaming]", this.element) && !one("[data-notice]", this.element);
    for (let wait = 1000; unread() && !this.busy && !this.past; wait = Math.min(wait * 2, 8000)) {
      await pause(wait);
      await this.sync();
    }
  }

  #busy(answer) {
    const was = this.busy;
    this.running = answer;
    this.stopping = this.stopping && answer !== null;
    this.element.classList.toggle("is-busy", this.busy);
    if (was !== this.busy) this.dispatchEvent(new Event("changed"));
  }

  #opened({ sessionId, title }) {
    const isNew = this.sessionId === null;
    this.sessionId = sessionId;
    this.element.dataset.session = sessionId;
    this.dispatchEvent(new CustomEvent("opened", { detail: { sessionId, title, isNew } }));
    // What begins here stands at the end of the conversation, and that is another page.
    if (this.past) leave(data.urls.conversation + sessionId);
    if (this.stopping) {
      this.stopping = false;
      this.stop();
    }
  }

  async #ended(event, answer) {
    const words = event.name === "error" ? "failed" : event.data?.status === "stopped" ? "stopped" : "finished";
    const element = await answer.finish(this.#pathOf(answer.element.dataset.message), text(words));
    if (element.dataset.updated) this.element.dataset.updated = element.dataset.updated;
    this.decorate(element);
  }

  #pathOf(messageId) {
    return `${data.urls.conversation}${this.sessionId}/messages/${messageId}`;
  }

  #blank(model) {
    const element = clone("t-answer");
    one(".model", element).textContent = model;
    unnamed(element);
    return new LiveAnswer(element);
  }

  #name(element, messageId) {
    if (!messageId) return;
    element.id = `m-${messageId}`;
    element.dataset.message = messageId;
  }

  // --- as the server has it ------------------------------------------------------------------------

  /** Show the end of the conversation as the server has it, where that is something else than what is shown. */
  async sync({ anchor = null } = {}) {
    const working = () => this.busy || this.gone || this.#deleting;
    if (!this.sessionId || working()) return;
    let fresh;
    try {
      fresh = await part(data.urls.conversation + this.sessionId, "#conversation");
    } catch (failure) {
      if (failure.status === 404 && !working()) this.lose();
      return;
    }
    if (working() || this.past || this.#closeEditor) return;
    this.element.dataset.updated = fresh.dataset.updated;
    const first = one(".message", fresh)?.id;
    const ours = this.#messages;
    const same = ours.slice(Math.max(0, ours.findIndex((message) => message.id === first)));
    if (signature(same) !== signature(all(".message", fresh))) this.#swap(fresh, same[0], anchor);
    copyOmitted(fresh, this.element);
    this.resume();
  }

  #swap(fresh, from, anchor) {
    const followed = atEnd();
    const still = anchor ?? this.#messages.find((message) => message.getBoundingClientRect().bottom > 0)?.id;
    const before = this.#byId(still)?.getBoundingClientRect().top;
    // What was read on to above stays, where the branch is the same there.
    const kept = from?.id === one(".message", fresh)?.id ? following(from) : [...this.element.children];
    if (kept.length < this.element.children.length) {
      kept.forEach((element) => element.remove());
      this.element.append(...all(":scope > .message, :scope > .message ~ *", fresh));
    } else {
      this.element.replaceChildren(...fresh.childNodes);
    }
    this.decorate(this.element);
    const now = this.#byId(still)?.getBoundingClientRect().top;
    if (followed && !anchor) toEnd();
    else if (before !== undefined && now !== undefined) scrollBy({ top: now - before, behavior: "instant" });
  }

  #byId(id) {
    return id ? document.getElementById(id) : null;
  }

  /** Choose another branch, and stay where the reader is. */
  async #choose(messageId, { forward }) {
    try {
      await json("PUT", `/api/chat/sessions/${this.sessionId}/branch`, { body: { messageId } });
    } catch (failure) {
      this.trouble(failure);
      return;
    }
    if (this.past) {
      leave(`${data.urls.conversation}${this.sessionId}?at=${messageId}#m-${messageId}`);
      return;
    }
    await this.sync({ anchor: `m-${messageId}` });
    const arrows = all("[data-branch]", this.#byId(`m-${messageId}`) ?? this.element);
    const [previous, next] = arrows;
    const wanted = forward ? [next, previous] : [previous, next];
    wanted.find((arrow) => arrow && !arrow.disabled)?.focus({ preventScroll: true });
    this.dispatchEvent(new Event("rearranged"));
  }

  // --- deleting ------------------------------------------------------------------------------------

  /** Hide a message with what follows it; the server deletes it unless somebody undoes that. */
  async #delete(message, { byKeyboard }) {
    await this.deleted();
    const gone = following(message).filter((element) => element.matches(".message, .trouble"));
    this.#deleting = new MessageDeletion(message, gone, {
      since: lastSeen(this.sessionId),
      settled: () => (this.#deleting = null),
      due: () =>
        this.deleted().then(
          () => this.sync(),
          (failure) => this.#notDeleted(failure),
        ),
    });
    if (byKeyboard) this.#deleting.undoButton.focus();
  }

  /** Have the server delete now what could still be undone. */
  async deleted() {
    if (!this.#deleting) return;
    await this.#deleting.commit();
    this.dispatchEvent(new Event("rearranged"));
  }

  /** Say why a message is there again, below what others have written after it. */
  async #notDeleted(failure) {
    if (failure.code === "session_changed") await this.sync();
    this.trouble(failure);
  }

  /** Delete from a page that ends; the next page may be rendered before the server has deleted. */
  #commitLast() {
    if (!this.#deleting) return;
    storage.write(`deleted:${this.sessionId}`, this.#deleting.message.dataset.message);
    this.#deleting.commit({ keepalive: true }).catch(() => {});
  }

  /** Keep out of sight what the page before this one has deleted with its last breath. */
  #hideDeleted() {
    const name = `deleted:${this.sessionId}`;
    const message = this.#byId(`m-${storage.read(name)}`);
    storage.write(name, null);
    if (!message) return;
    const gone = following(message).filter((element) => element.matches(".message"));
    gone.forEach((element) => (element.hidden = true));
    setTimeout(() => {
      gone.forEach((element) => (element.hidden = false));
      this.sync();
    }, 1500);
  }

  /** Take the last deletion back; tells whether there was one. */
  undo() {
    const found = this.#deleting !== null;
    this.#deleting?.undo();
    return found;
  }

  // --- what went wrong -----------------------------------------------------------------------------

  clearTrouble() {
    all("[data-notice]", this.element).forEach((old) => old.remove());
  }

  /** Say that the conversation is no longer there. What is written and not sent stays in the composer. */
  lose() {
    if (this.gone) return;
    this.gone = true;
    this.trouble(new Failure(text("gone"), { status: 404, code: "session_not_found" }));
    this.dispatchEvent(new Event("lost"));
  }

  /** Say inside the conversation what happened, and offer the next step. */
  trouble(failure, options = {}) {
    this.clearTrouble();
    this.element.append(notice(failure, options));
    toEnd();
  }

  // --- buttons of messages -------------------------------------------------------------------------

  /** Give code its button and colours, and waits their countdown. */
  decorate(root) {
    code.decorate(root);
    formulas.decorate(root);
    for (const place of [root, ...all("[data-retry-after]", root)]) {
      const button = place.dataset?.retryAfter ? one("[data-regenerate]", place) : null;
      if (!button) continue;
      wait(button, Number(place.dataset.retryAfter));
      delete place.dataset.retryAfter; // once is enough
    }
  }

  #clicked(event) {
    const button = event.target.closest("button");
    const message = button?.closest(".message");
    if (!button || !message) return;
    const byKeyboard = event.detail === 0;
    if (button.matches("[data-copy]")) copy(button, wordsOf(message));
    else if (button.matches(".code-copy")) copy(button, one("pre", button.closest("figure")).textContent);
    else if (this.busy) announce(text("answering"));
    else if (button.matches("[data-continue]")) this.continue(message);
    else if (button.matches("[data-edit]")) this.edit(message);
    else if (button.matches("[data-delete]")) {
      this.#delete(message, { byKeyboard }).catch((failure) => this.#notDeleted(failure));
    } else if (button.matches("[data-branch]")) {
      this.#choose(button.dataset.branch, { forward: button.nextElementSibling === null });
    } else if (button.matches("[data-regenerate], [data-again-with]")) {
      const elsewhere = button.matches("[data-again-with]") ? button : null;
      this.dispatchEvent(new CustomEvent("again", { detail: { message, elsewhere } }));
    }
  }
}

/** Return an element and all that follow it. */
function following(element) {
  const found = [];
  for (let next = element; next; next = next.nextElementSibling) found.push(next);
  return found;
}

/** The copy of an empty message has the id of nobody. */
function unnamed(element) {
  element.removeAttribute("id");
  delete element.dataset.message;
  delete element.dataset.eventId;
}

function wordsOf(message) {
  return one(".source", message)?.content.textContent ?? one(".bubble", message).textContent;
}

/** What two lists of messages have in common when nothing needs to be drawn again. */
function signature(messages) {
  return messages
    .map((message) => [message.id, message.dataset.status, one(".count", message)?.textContent].join(" "))
    .join("\n");
}
