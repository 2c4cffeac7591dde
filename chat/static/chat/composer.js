// Where a message is written: text, provider and model, mode, and one button that sends or stops.

import { json } from "./api.js";
import { make, one } from "./dom.js";
import { data, text } from "./texts.js";

export class Composer extends EventTarget {
  constructor(form) {
    super();
    this.form = form;
    this.message = one("#message", form);
    this.provider = one("#provider", form);
    this.model = one("#model", form);
    this.mode = one("#mode", form);
    this.button = one("#send", form);
    this.picker = one("#model-picker", form);
    this.lists = new Map();
    this.answering = false;
    this.#listen();
    this.#show();
    this.#grow();
    this.#enable();
  }

  get values() {
    const [provider, model, mode] = [this.provider.value, this.model.value.trim(), this.mode.value];
    return { message: this.message.value, provider, model, mode };
  }

  clear() {
    this.message.value = "";
    this.#grow();
    this.#enable();
  }

  /** Put back what could not be sent, unless something else has been written meanwhile. */
  restore(message) {
    if (!this.message.value) this.message.value = message;
    this.#grow();
    this.#enable();
    this.message.focus();
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
      // While an input method composes, Enter chooses a word; Safari reports that as key code 229.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      if (matchMedia("(pointer: coarse)").matches && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      if (!this.answering) this.#send();
    });
    this.message.addEventListener("input", () => {
      this.#grow();
      this.#enable();
    });
    this.provider.addEventListener("change", () => this.#chooseProvider());
    this.model.addEventListener("input", () => this.#list({ typed: true }));
    this.model.addEventListener("change", () => this.#show());
    this.model.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) {
        event.preventDefault();
        this.#close();
      }
    });
    this.picker.addEventListener("toggle", () => this.picker.open && this.#load());
    this.picker.addEventListener("keydown", (event) => event.key === "Escape" && this.#close());
    document.addEventListener("click", (event) => {
      if (this.picker.open && !this.picker.contains(event.target)) this.picker.open = false;
    });
    one("#models", this.form).addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      this.model.value = button.dataset.model;
      this.#close();
    });
  }

  #send() {
    if (!this.message.value.trim()) return;
    if (!this.values.model) {
      this.picker.open = true;
      this.#note(text("modelMissing"));
      this.model.focus();
      return;
    }
    this.picker.open = false;
    this.dispatchEvent(new Event("send"));
  }

  #close() {
    this.picker.open = false;
    this.#show();
    this.message.focus();
  }

  #chooseProvider() {
    const known = this.#known();
    this.model.value = known?.defaultModel || known?.models[0] || "";
    this.#show();
    this.#load();
  }

  #known() {
    return data.providers.find((provider) => provider.id === this.provider.value);
  }

  #show() {
    one(".provider-shown", this.form).textContent = `${this.#known()?.name ?? ""} · `;
    one(".chosen-model", this.form).textContent = this.model.value.trim() || "…";
  }

  /** Read the provider's own list of models, once. */
  async #load() {
    const id = this.provider.value;
    this.#list();
    if (this.lists.has(id)) return;
    this.lists.set(id, null);
    try {
      const { models } = await json("GET", `/api/providers/${encodeURIComponent(id)}/models`);
      this.lists.set(id, models.map((model) => model.id));
      if (id === this.provider.value) this.#list();
    } catch (failure) {
      this.lists.delete(id);
      if (id === this.provider.value) this.#note(text("modelsUnread", { error: failure.message }));
    }
  }

  /** Show the models to choose from: all of them, or, once something is typed, those that fit. */
  #list({ typed = false } = {}) {
    const models = this.lists.get(this.provider.value) ?? this.#known()?.models ?? [];
    const wanted = this.model.value.trim().toLowerCase();
    const fitting = typed ? models.filter((model) => model.toLowerCase().includes(wanted)) : models;
    const items = fitting.slice(0, 100).map((model) => {
      const button = make("button", { type: "button" }, model);
      button.dataset.model = model;
      button.setAttribute("aria-pressed", String(model.toLowerCase() === wanted));
      return make("li", {}, button);
    });
    one("#models", this.form).replaceChildren(...items);
    this.#note(models.length && !fitting.length ? text("noModels") : "");
  }

  #note(words) {
    const note = one("#models-note", this.form);
    note.textContent = words;
    note.hidden = !words;
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
