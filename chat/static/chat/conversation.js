// A conversation in the page: sending, following, stopping, asking again.

import { Failure, json, newKey } from "./api.js";
import { LiveAnswer } from "./answer.js";
import { all, announce, clone, icon, make, one } from "./dom.js";
import { resumed, started } from "./following.js";
import { toEnd } from "./reader.js";
import { data, text } from "./texts.js";

const SETTINGS_CODES = new Set(["provider_not_configured", "provider_key_unreadable", "provider_unknown"]);

export class Conversation extends EventTarget {
  constructor(element) {
    super();
    this.element = element;
    this.sessionId = element.dataset.session || null;
    this.running = null;
    this.stopping = false;
    element.addEventListener("click", (event) => this.#clicked(event));
    this.decorate(element);
  }

  get busy() {
    return this.running !== null;
  }

  /** Pick up the answer that was being written when this page was opened. */
  resume() {
    const element = one("[data-event-id]", this.element);
    if (element && this.sessionId) {
      const { eventId } = element.dataset;
      this.#follow(resumed(this.sessionId, eventId), new LiveAnswer(element));
    }
  }

  /** Send a message. Where it is refused, it is taken out of the page again and `refused` is told. */
  send({ message, provider, model, mode }, key = newKey()) {
    one("#welcome")?.remove();
    one(".empty", this.element)?.remove();
    this.clearTrouble();
    const question = clone("t-user");
    one(".bubble", question).textContent = message;
    const answer = this.#blank(model);
    // What is continued stands at the end of its branch, and that is elsewhere now.
    all(".actions [data-continue]", this.element).forEach((button) => button.remove());
    this.element.append(question, answer.element);
    toEnd();
    const body = { message, provider, model, mode, ...(this.sessionId ? { sessionId: this.sessionId } : {}) };
    return this.#follow(started("/api/chat/stream", body, key), answer, {
      opened: (event) => this.#name(question, event.data.userMessageId),
      refused: (failure) => {
        question.remove();
        answer.remove();
        this.dispatchEvent(new CustomEvent("refused", { detail: { message, key, failure } }));
      },
    });
  }

  /** Ask for another answer in the place of `old`, which is kept beside it. */
  regenerate(old, { provider, model }) {
    this.clearTrouble();
    const answer = this.#blank(model);
    const below = [];
    for (let next = old; next; next = next.nextElementSibling) below.push(next);
    old.before(answer.element);
    below.forEach((element) => element.remove());
    toEnd();
    const body = { messageId: old.dataset.message, provider, model };
    return this.#follow(started(`/api/chat/sessions/${this.sessionId}/regenerate`, body, newKey()), answer, {
      refused: (failure) => {
        answer.element.replaceWith(...below);
        answer.remove();
        this.trouble(failure);
      },
    });
  }

  /** Let a cut answer go on: the same message grows. */
  continue(old) {
    this.clearTrouble();
    const answer = this.#blank(one(".model", old)?.textContent ?? "");
    const reasoning = one(".reasoning-text", old)?.textContent;
    if (reasoning) answer.receive("reasoning", reasoning);
    answer.receive("message", one(".source", old).content.textContent);
    old.replaceWith(answer.element);
    this.#name(answer.element, old.dataset.message);
    return this.#follow(started(`/api/chat/messages/${old.dataset.message}/continue`, {}, newKey()), answer, {
      refused: (failure) => {
        answer.element.replaceWith(old);
        answer.remove();
        this.trouble(failure);
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
      this.trouble(failure);
    }
  }

  async #follow(following, answer, { opened = () => {}, refused = (failure) => this.trouble(failure) } = {}) {
    this.running = answer;
    this.stopping = false;
    this.#changed();
    let begun = answer.element.dataset.message !== undefined && answer.element.dataset.message !== "";
    try {
      for await (const event of following) {
        if (event.name === "session") {
          begun = true;
          this.#name(answer.element, event.data.messageId);
          this.#opened(event.data);
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
      if (begun) {
        await this.#ended({ name: "error", data: {} }, answer);
        this.trouble(failure);
      } else {
        refused(failure);
      }
    } finally {
      this.running = null;
      this.stopping = false;
      this.#changed();
    }
  }

  #opened({ sessionId, title }) {
    const isNew = this.sessionId === null;
    this.sessionId = sessionId;
    this.element.dataset.session = sessionId;
    this.dispatchEvent(new CustomEvent("opened", { detail: { sessionId, title, isNew } }));
    if (this.stopping) {
      this.stopping = false;
      this.stop();
    }
  }

  async #ended(event, answer) {
    const words = event.name === "error" ? "failed" : event.data?.status === "stopped" ? "stopped" : "finished";
    const id = answer.element.dataset.message;
    const element = await answer.finish(`/c/${this.sessionId}/messages/${id}`, text(words));
    this.decorate(element);
    this.dispatchEvent(new Event("ended"));
  }

  #blank(model) {
    const element = clone("t-answer");
    one(".model", element).textContent = model;
    // The copy of an empty message has the id of nobody.
    element.removeAttribute("id");
    delete element.dataset.message;
    delete element.dataset.eventId;
    return new LiveAnswer(element);
  }

  #name(element, messageId) {
    if (!messageId) return;
    element.id = `m-${messageId}`;
    element.dataset.message = messageId;
  }

  #changed() {
    this.dispatchEvent(new Event("changed"));
  }

  // --- what went wrong -----------------------------------------------------------------------------

  clearTrouble() {
    all("[data-notice]", this.element).forEach((notice) => notice.remove());
  }

  /** Say inside the conversation what happened, and offer the next step. */
  trouble(failure, again = null) {
    this.clearTrouble();
    const notice = clone("t-notice");
    notice.dataset.notice = failure.code;
    one("p", notice).textContent = failure.message;
    const actions = one(".trouble-actions", notice);
    if (failure.status === 401) {
      actions.append(link(text("signInAgain"), `${data.urls.login}?next=${encodeURIComponent(location.pathname)}`));
    } else if (failure.code === "csrf_failed") {
      actions.append(link(text("reload"), location.pathname));
    } else if (SETTINGS_CODES.has(failure.code)) {
      actions.append(link(text("openSettings"), data.urls.settings));
    } else if (failure.status === 404) {
      one("p", notice).textContent = text("gone");
    } else if (again && failure.status !== 400) {
      actions.append(countdown(failure.retryAfter, again));
    }
    this.element.append(notice);
    toEnd();
  }

  // --- buttons of messages -------------------------------------------------------------------------

  /** Give code its copy buttons, and waits their countdown. */
  decorate(root) {
    for (const figure of all("figure.code", root)) {
      const button = make("button", { type: "button", className: "code-copy" }, text("copy"));
      button.setAttribute("aria-label", text("copyCode"));
      one("figcaption", figure).append(button);
    }
    for (const place of [root, ...all("[data-retry-after]", root)]) {
      const button = place.dataset?.retryAfter ? one("[data-regenerate]", place) : null;
      if (button) wait(button, Number(place.dataset.retryAfter));
    }
  }

  #clicked(event) {
    const button = event.target.closest("button");
    const message = button?.closest(".message");
    if (!button || !message) return;
    if (button.matches("[data-copy]")) copy(button, one(".source", message).content.textContent);
    else if (button.matches(".code-copy")) copy(button, one("pre", button.closest("figure")).textContent);
    else if (this.busy) announce(text("answering"));
    else if (button.matches("[data-continue]")) this.continue(message);
    else if (button.matches("[data-regenerate]")) {
      this.dispatchEvent(new CustomEvent("again", { detail: { message } }));
    } else if (button.matches("[data-branch]")) this.#choose(button.dataset.branch);
  }

  async #choose(messageId) {
    try {
      await json("PUT", `/api/chat/sessions/${this.sessionId}/branch`, { body: { messageId } });
      location.assign(`${data.urls.conversation}${this.sessionId}#m-${messageId}`);
      location.reload();
    } catch (failure) {
      this.trouble(failure);
    }
  }
}

function link(words, href) {
  return make("a", { className: "button", href }, words);
}

function countdown(seconds, again) {
  const button = make("button", { type: "button", className: "button" }, text("tryAgain"));
  button.addEventListener("click", again);
  if (seconds) wait(button, seconds);
  return button;
}

/** Keep a button from being pressed before it can succeed. */
function wait(button, seconds) {
  const words = text("tryAgain");
  let left = Math.ceil(seconds);
  const tick = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? text("tryAgainIn", { seconds: left }) : words;
    if (left <= 0) clearInterval(timer);
    left -= 1;
  };
  const timer = setInterval(tick, 1000);
  tick();
}

async function copy(button, words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    // Without TLS there is no clipboard; the old way still works there.
    const area = make("textarea", { value: words, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  announce(text("copied"));
  const before = [...button.childNodes];
  button.replaceChildren(button.matches(".code-copy") ? text("copied") : icon("check"));
  setTimeout(() => button.replaceChildren(...before), 1500);
}
