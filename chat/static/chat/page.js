// Every signed-in page starts here.

import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { all, one } from "./dom.js";
import { dialogs, show } from "./dialogs.js";
import { toEnd, watch } from "./reader.js";
import * as sidebar from "./sidebar.js";
import { data } from "./texts.js";

// The server groups conversations by day, and only the browser knows where midnight is.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=lax`;

sidebar.drawer();

const place = one("#conversation");
const form = one("#composer");
if (place) {
  const conversation = new Conversation(place);
  dialogs(conversation);
  if (form) connect(conversation, new Composer(form));
}

function connect(conversation, composer) {
  watch();
  if (!location.hash) toEnd();

  const send = (key) => {
    const values = composer.values;
    composer.clear();
    conversation.send(values, key);
  };
  composer.addEventListener("send", () => send());
  composer.addEventListener("stop", () => conversation.stop());
  conversation.addEventListener("changed", () => {
    composer.running = conversation.busy;
    if (conversation.sessionId) sidebar.answering(conversation.sessionId, conversation.busy);
  });
  conversation.addEventListener("opened", ({ detail: { sessionId, title, isNew } }) => {
    sidebar.toTop(sessionId, title);
    sidebar.answering(sessionId, true);
    if (!isNew) return;
    history.replaceState(null, "", data.urls.conversation + sessionId);
    one("#session-actions").hidden = false;
    show(title);
  });
  conversation.addEventListener("refused", ({ detail: { message, key, failure } }) => {
    composer.restore(message);
    // The same key, so that an answer that did begin is not begun twice.
    conversation.trouble(failure, () => composer.values.message === message ? send(key) : send());
  });
  conversation.addEventListener("again", ({ detail: { message } }) => {
    const { provider, model } = composer.values;
    conversation.regenerate(message, { provider, model });
  });
  for (const button of all("[data-suggestion]")) {
    button.addEventListener("click", () => {
      composer.restore(button.textContent);
      composer.dispatchEvent(new Event("send"));
    });
  }
  conversation.resume();
}
