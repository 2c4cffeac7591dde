// Choosing a provider and one of its models, from its own list or by name.

import { json } from "./api.js";
import { all, make, one } from "./dom.js";
import { marked } from "./retirement.js";
import { data, text } from "./texts.js";

const SHOWN = 100;
// What each provider has said, for all pickers of the page.
const lists = new Map();

export class ModelPicker extends EventTarget {
  /** `root` holds the fields. `changed` is told for every choice, `picked` when the choosing is over. */
  constructor(root) {
    super();
    this.provider = one("[name=provider]", root);
    this.model = one("[name=model]", root);
    this.rows = one(".models", root);
    this.note = one(".models-note", root);
    this.#listen(root);
  }

  get chosen() {
    return { provider: this.provider.value, model: this.model.value.trim() };
  }

  /** Take over a choice that was made elsewhere; a provider that is no longer there changes nothing. */
  set chosen({ provider, model }) {
    if (!all("option", this.provider).some((option) => option.value === provider)) return;
    this.provider.value = provider;
    this.model.value = model;
    this.#changed();
  }

  get providerName() {
    return this.#known()?.name ?? "";
  }

  /** Show what there is to choose from; the provider's own list is read once. */
  async open() {
    const id = this.provider.value;
    this.#list();
    if (lists.has(id)) return;
    lists.set(id, null);
    try {
      const { models } = await json("GET", `/api/providers/${encodeURIComponent(id)}/models`);
      lists.set(id, models);
      if (id === this.provider.value) this.#list();
    } catch (failure) {
      lists.delete(id);
      if (id === this.provider.value) this.say(text("modelsUnread", { error: failure.message }));
    }
  }

  say(words) {
    this.note.textContent = words;
    this.note.hidden = !words;
  }

  #listen(root) {
    this.provider.addEventListener("change", () => {
      const known = this.#known();
      this.model.value = known?.defaultModel || known?.models[0]?.id || "";
      this.#changed();
      this.open();
    });
    this.model.addEventListener("input", () => this.#list({ typed: true }));
    this.model.addEventListener("focus", () => this.model.select());
    this.model.addEventListener("change", () => this.#changed());
    this.rows.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      this.model.value = button.dataset.model;
      this.#picked();
    });
    root.addEventListener("keydown", (event) => this.#pressed(event));
  }

  #pressed(event) {
    if (event.isComposing || event.keyCode === 229) return;
    const buttons = all("button", this.rows);
    const place = buttons.indexOf(event.target);
    if (event.key === "Enter" && event.target === this.model) {
      event.preventDefault();
      this.#picked();
    } else if (event.key === "ArrowDown" && (event.target === this.model || place >= 0)) {
      event.preventDefault();
      buttons[Math.min(place + 1, buttons.length - 1)]?.focus();
    } else if (event.key === "ArrowUp" && place >= 0) {
      event.preventDefault();
      (buttons[place - 1] ?? this.model).focus();
    }
  }

  #changed() {
    this.say("");
    this.dispatchEvent(new Event("changed"));
  }

  #picked() {
    this.#changed();
    this.dispatchEvent(new Event("picked"));
  }

  #known() {
    return data.providers.find((provider) => provider.id === this.provider.value);
  }

  /** Show the models to choose from: all of them, or, once something is typed, those that fit. */
  #list({ typed = false } = {}) {
    const models = lists.get(this.provider.value) ?? (this.#known()?.models ?? []);
    const words = this.model.value.trim().toLowerCase();
    const parts = typed ? words.split(/\s+/) : [];
    const fits = ({ id, name = "" }) => parts.every((piece) => `${id} ${name}`.toLowerCase().includes(piece));
    const fitting = models.filter(fits);
    const items = fitting.slice(0, SHOWN).map((model) => {
      const { id } = model;
      const button = marked(make("button", { type: "button" }, id), model);
      button.dataset.model = id;
      button.setAttribute("aria-pressed", String(id.toLowerCase() === words));
      return make("li", {}, button);
    });
    this.rows.replaceChildren(...items);
    const more = fitting.length - SHOWN;
    this.say(models.length && !fitting.length ? text("noModels") : more > 0 ? text("moreModels", { count: more }) : "");
  }
}
