// Renaming and deleting the conversation that is open.

import { json } from "./api.js";
import { all, announce, one } from "./dom.js";
import * as sidebar from "./sidebar.js";
import { data, text } from "./texts.js";

export function dialogs(conversation) {
  for (const button of all("[data-open]")) {
    button.addEventListener("click", () => {
      const dialog = document.getElementById(button.dataset.open);
      const field = one("input", dialog);
      if (field) field.value = one("#title").textContent;
      complain(dialog, "");
      dialog.showModal();
      field?.select();
    });
  }
  for (const button of all("dialog [data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  on("rename", async (form) => {
    const title = form.elements.title.value.trim();
    await json("PUT", `/api/chat/sessions/${conversation.sessionId}/title`, { body: { title } });
    show(title);
    sidebar.rename(conversation.sessionId, title);
    announce(text("renamed"));
  });
  on("delete", async () => {
    await json("DELETE", `/api/chat/sessions/${conversation.sessionId}`);
    location.assign(data.urls.newChat);
  });
}

export function show(title) {
  one("#title").textContent = title;
  document.title = title + document.title.slice(document.title.lastIndexOf(" · "));
}

function on(name, act) {
  const dialog = document.getElementById(`${name}-dialog`);
  const form = document.getElementById(`${name}-form`);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = one("[type=submit]", form);
    button.disabled = true;
    try {
      await act(form);
      dialog.close();
    } catch (failure) {
      complain(dialog, failure.message);
    } finally {
      button.disabled = false;
    }
  });
}

function complain(dialog, words) {
  const place = one(".errors", dialog);
  if (!place) return;
  place.textContent = words;
  place.hidden = !words;
}
