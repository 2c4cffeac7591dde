// Where a message is written: text, provider and model, mode, and one button that sends or stops.

import { one } from "./dom.js";
import { draftOf, keepDraft } from "./drafts.js";
import { LengthLimit } from "./length-limit.js";
import { ModelPicker } from "./models.js";
import { text } from "./texts.js";

/** Tell whether Enter belongs to an input method, which chooses a word with it; Safari says so by key code. */
export const composing = (event) => event.isComposing || event.keyCode === 229;

export class Composer extends EventTarget {
  /** `sessionId` says whose draft this is; nobody's yet in a new conversation. */
  constructor(form, sessionId) {
    super();
    this.form = form;
    this.sessionId = sessionId;
    this.message = one("#message", form);
    this.mode = one("#mode", form);
    this.context = one("#context", form);
    this.button = one("#send", form);
    this.picker = one("#model-picker", form);
    this.models = new ModelPicker(one(".panel", this.picker));
    this.answering = false;
    this.limit = new LengthLimit(this.message, one("#characters", form));
    this.contextChosen = false;
    this.#listen();
    this.#hintEnter();
    this.#show();
    // The browser may have put back what stood here before a reload; our own draft is never older.
    this.message.value = draftOf(sessionId) || this.message.value;
    this.limit.update();
    this.#grow();
    this.#enable();
  }

  get values() {
    return { message: this.message.value, ...this.models.chosen, mode: this.mode.value, ...this.#chosenContext };
  }

  /** How much is sent to the model is only told where it was chosen here: it becomes the person's default. */
  get #chosenContext() {
    return this.contextChosen ? { context: this.context.value } : {};
  }

  /** Choose what another part of the page has chosen. */
  choose(chosen) {
    this.models.chosen = chosen;
  }

  clear() {
    this.#write("");
  }

  /** Put back what could not be sent, above what has been written since. */
  restore(message) {
    const since = this.message.value;
    if (since !== message) this.#write(since.trim() ? `${message}\n\n${since}` : message);
    this.message.focus();
  }

  /** From now on this is another conversation's composer. */
  moveTo(sessionId) {
    if (this.sessionId === sessionId) return;
    keepDraft(this.sessionId, "");
    this.sessionId = sessionId;
    keepDraft(sessionId, this.message.value);
  }

  set running(answering) {
    this.answering = answering;
    this.form.classList.toggle("is-answering", answering);
    const words = text(answering ? "stop" : "send");
    this.button.setAttribute("aria-label", words);
    this.button.title = words;
    this.#enable();
  }

  #listen() {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.answering) this.dispatchEvent(new Event("stop"));
      else this.#send();
    });
    this.message.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || composing(event)) return;
      if (matchMedia("(pointer: coarse)").matches && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      if (!this.answering) this.#send();
    });
    this.message.addEventListener("input", () => {
      keepDraft(this.sessionId, this.message.value);
      this.#grow();
      this.#enable();
    });
    this.mode.addEventListener("change", () => this.dispatchEvent(new Event("chosen")));
    this.context.addEventListener("change", () => {
      this.contextChosen = true;
      this.dispatchEvent(new Event("chosen"));
    });
    this.models.addEventListener("changed", () => {
      this.#show();
      this.dispatchEvent(new Event("chosen"));
    });
    this.models.addEventListener("picked", () => this.#close());
    this.picker.addEventListener("toggle", () => this.picker.open && this.models.open());
    this.picker.addEventListener("keydown", (event) => event.key === "Escape" && !composing(event) && this.#close());
    document.addEventListener("click", (event) => {
      if (this.picker.open && !this.picker.contains(event.target)) this.picker.open = false;
    });
  }

  #send() {
    if (!this.message.value.trim() || !this.limit.allows()) return;
    if (!this.values.model) {
      this.picker.open = true;
      this.models.say(text("modelMissing"));
      this.models.model.focus();
      return;
    }
    this.picker.open = false;
    this.dispatchEvent(new Event("send"));
  }

  #close() {
    this.picker.open = false;
    this.message.focus();
  }

  #write(message) {
    this.message.value = message;
    keepDraft(this.sessionId, message);
    this.limit.update();
    this.#grow();
    this.#enable();
  }

  /** Let the key on a phone's keyboard say what it does: Enter is a new line there, and sends elsewhere. */
  #hintEnter() {
    const touch = matchMedia("(pointer: coarse)");
    const hint = () => (this.message.enterKeyHint = touch.matches ? "enter" : "send");
    touch.addEventListener("change", hint);
    hint();
  }

  #show() {
    one(".provider-shown", this.form).textContent = `${this.models.providerName} · `;
    one(".chosen-model", this.form).textContent = this.models.chosen.model || "…";
  }

  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.message.style.height = "auto";
    this.message.style.height = `${Math.min(this.message.scrollHeight, innerHeight * 0.4)}px`;
  }

  #enable() {
    this.button.disabled = !this.answering && !this.message.value.trim();
  }
}
