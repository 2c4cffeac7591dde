// The provider's settings: try them before they are saved.

import { json } from "./api.js";
import { one } from "./dom.js";
import { text } from "./texts.js";

const form = one("#provider-form");
const result = one("#test-result");

one("#test").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  button.disabled = true;
  tell(text("testing"), "");
  const body = {};
  if (form.elements.apiKey.value) body.apiKey = form.elements.apiKey.value;
  if (form.elements.baseUrl.value || form.dataset.address) body.baseUrl = form.elements.baseUrl.value;
  try {
    const { latencyMs } = await json("POST", `/api/providers/${form.dataset.provider}/test`, { body });
    tell(text("works", { milliseconds: latencyMs }), "good");
  } catch (failure) {
    tell(failure.message, "bad");
  } finally {
    button.disabled = false;
  }
});

function tell(words, kind) {
  result.textContent = words;
  result.className = `test-result ${kind}`;
}
