// The settings, quicker: the theme at once, a test before anything is saved, models from the provider's list.

import { json } from "./api.js";
import { all, make, one } from "./dom.js";
import { quote } from "./failures.js";
import { marked } from "./retirement.js";
import { text } from "./texts.js";

const SHOWN = 100;

const themes = one("#theme-form");
const form = one("#provider-form");
if (themes) themes.addEventListener("change", changeTheme);
if (form) {
  const list = modelList();
  one("#test").addEventListener("click", (event) => test(event, list));
}

async function changeTheme() {
  const chosen = themes.elements.theme.value;
  const root = document.documentElement;
  if (chosen) root.dataset.theme = chosen;
  else delete root.dataset.theme;
  one("meta[name=color-scheme]").content = chosen || "light dark";
  for (const meta of all("meta[name=theme-color]")) {
    const { for: theme } = meta.dataset;
    meta.media = chosen ? (theme === chosen ? "all" : "not all") : `(prefers-color-scheme: ${theme})`;
  }
  const complaint = one("#theme-errors");
  complaint.textContent = "";
  // Back at the settings it would lead, which nobody needs to load.
  const body = new FormData(themes);
  // It is sent to its end also where somebody leaves the page at once.
  const sent = fetch(themes.action, { method: "POST", body, redirect: "manual", keepalive: true });
  const kept = await sent.then((answer) => answer.type === "opaqueredirect").catch(() => false);
  if (!kept) complaint.textContent = text("unexpected");
}

/** Return what the form says, as the API is given it; throws a text for the person. */
function given() {
  const { apiKey, baseUrl, protocol, defaultModel, headers, extraBody } = form.elements;
  const body = { defaultModel: defaultModel.value.trim() };
  if (form.elements.removeKey?.checked) body.apiKey = "";
  else if (apiKey.value) body.apiKey = apiKey.value;
  if (baseUrl.value || form.dataset.address) body.baseUrl = baseUrl.value;
  if (protocol) body.protocol = protocol.value;
  const named = [...all("[name=removeHeader]:checked", form)].map(({ value }) => [value, null]);
  for (const line of headers.value.split("\n").filter((line) => line.trim())) {
    const colon = line.indexOf(":");
    if (colon < 0) throw new Error(text("noColon"));
    named.push([line.slice(0, colon), line.slice(colon + 1)]);
  }
  if (named.length) body.headers = Object.fromEntries(named);
  try {
    body.extraBody = JSON.parse(extraBody.value.trim() || "{}");
  } catch {
    throw new Error(text("noJson"));
  }
  return body;
}

async function test(event, list) {
  event.preventDefault();
  const button = event.currentTarget;
  button.disabled = true;
  tell(text("testing"), "");
  try {
    const path = `/api/providers/${encodeURIComponent(form.dataset.provider)}/test`;
    const { latencyMs, models } = await json("POST", path, { body: given() });
    tell(text("works", { milliseconds: latencyMs }), "good");
    if (models.length) list.offer(models);
  } catch (failure) {
    tell(failure.message, "bad", failure.detail);
  } finally {
    button.disabled = false;
  }
}

function tell(words, kind, providersWords = "") {
  const result = one("#test-result");
  result.textContent = words;
  result.className = `test-result ${kind}`;
  quote(one("#test-result + .own-words"), providersWords);
}

/** Let the default model be chosen from what the provider lists, or from what is known of it. */
function modelList() {
  const field = form.elements.defaultModel;
  const rows = one("#known-list");
  const help = one("#defaultModel-help");
  const usual = help.textContent;
  let models = all("#known-models option").map(({ value: id, dataset }) => ({ id, retiresOn: dataset.retiresOn }));
  let asked = !("listsModels" in form.dataset);
  field.removeAttribute("list");

  let typed = false;
  const show = () => {
    const words = typed ? field.value.trim().toLowerCase().split(/\s+/) : [];
    const fitting = models.filter((model) => words.every((word) => model.id.toLowerCase().includes(word)));
    const items = fitting.slice(0, SHOWN).map((model) => {
      const button = marked(make("button", { type: "button" }, model.id), model);
      button.dataset.model = model.id;
      button.setAttribute("aria-pressed", String(model.id === field.value.trim()));
      return make("li", {}, button);
    });
    rows.replaceChildren(...items);
    rows.hidden = !items.length;
    if (models.length && !fitting.length) help.textContent = text("noModels");
    else if (help.textContent === text("noModels")) help.textContent = usual;
  };
  const hide = () => (rows.hidden = true);
  let pressed = false;

  field.addEventListener("focus", async () => {
    typed = false;
    show();
    if (asked) return;
    asked = true;
    try {
      const listed = await json("GET", `/api/providers/${encodeURIComponent(form.dataset.provider)}/models`);
      models = listed.models;
      if (one("#model-field").contains(document.activeElement)) show();
    } catch (failure) {
      help.textContent = text("modelsUnread", { error: failure.message });
    }
  });
  field.addEventListener("input", () => {
    typed = true;
    show();
  });
  rows.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    field.value = button.dataset.model;
    field.focus();
    hide();
  });
  one("#model-field").addEventListener("keydown", (event) => {
    if (event.isComposing || rows.hidden) return;
    const buttons = all("button", rows);
    const place = buttons.indexOf(event.target);
    const next = event.key === "ArrowDown" ? buttons[place + 1] : event.key === "ArrowUp" ? (buttons[place - 1] ?? field) : null;
    if (event.key === "Escape") hide();
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  one("#model-field").addEventListener("focusout", (event) => {
    if (!pressed && !one("#model-field").contains(event.relatedTarget)) hide();
  });
  // Hidden between press and release, the list would move what is pressed from under the pointer.
  addEventListener("pointerdown", () => (pressed = true), true);
  for (const released of ["pointerup", "pointercancel"]) addEventListener(released, () => (pressed = false), true);
  addEventListener("click", (event) => {
    if (!one("#model-field").contains(event.target)) hide();
  });
  return {
    /** Take over what a test has found, although nothing is saved yet. */
    offer(listed) {
      models = listed;
      asked = true;
      help.textContent = text("modelsFound", { count: listed.length });
      typed = false;
      if (one("#model-field").contains(document.activeElement)) show();
    },
  };
}
