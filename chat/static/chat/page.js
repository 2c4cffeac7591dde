// Every signed-in page starts here.

import { askAgainWith } from "./again.js";
import { json } from "./api.js";
import { hear, tell } from "./channel.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { watchDeletion } from "./deleted-elsewhere.js";
import * as deletions from "./deletions.js";
import { all, one, pause } from "./dom.js";
import { readUpwards } from "./earlier.js";
import { highlight, target } from "./highlights.js";
import * as list from "./list.js";
import { toEnd, watch } from "./reader.js";
import * as sessions from "./sessions.js";
import { drawer } from "./sidebar.js";
import * as storage from "./storage.js";
import { data } from "./texts.js";

// The server groups conversations by day, and only the browser knows where midnight is.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `timezone=${zone}; path=/; max-age=31536000; samesite=lax`;

drawer();
list.keep();
sessions.menus();
deletions.resume();
signingOut();
const place = one("#conversation");
const conversation = place ? new Conversation(place) : null;
if (conversation) {
  const form = one("#composer");
  connect(conversation, form ? new Composer(form, conversation.sessionId) : null);
}
shortcuts();

function connect(conversation, composer) {
  watch();
  if (location.hash) highlight(target(), place.dataset.sought ?? "");
  else if (one(".message")) {
    // A reload would go back to where the page was, after this, and a conversation opens at its end.
    history.scrollRestoration = "manual";
    toEnd();
  }
  readUpwards(place, (message) => conversation.decorate(message));
  // On a phone it would bring up the keyboard. The attribute would scroll a short window to it.
  if (!location.hash && matchMedia("(pointer: fine)").matches) one("#message")?.focus({ preventScroll: true });

  conversation.addEventListener("changed", () => {
    if (composer) composer.running = conversation.busy;
    if (!conversation.busy) changed();
  });
  conversation.addEventListener("opened", ({ detail: { sessionId, title, isNew } }) => {
    // A new conversation has its address now, and one that goes on is no longer looked at somewhere else.
    if (isNew || location.search) history.replaceState(null, "", data.urls.conversation + sessionId);
    if (isNew) {
      composer.moveTo(sessionId);
      sessions.opened(sessionId);
      sessions.showTitle(title);
      list.show(sessionId);
    }
    changed();
  });
  conversation.addEventListener("rearranged", changed);
  conversation.addEventListener("again", ({ detail: { message, elsewhere } }) => {
    const chosen = composer?.values ?? {};
    if (!elsewhere) conversation.regenerate(message, { provider: chosen.provider, model: chosen.model });
    else {
      const now = { provider: chosen.provider, model: one(".model", message)?.textContent || chosen.model };
      askAgainWith(elsewhere, now, (choice) => {
        composer?.choose(choice);
        conversation.regenerate(message, choice);
      });
    }
  });
  follow(conversation);
  watchDeletion(conversation);
  conversation.addEventListener("lost", () => {
    list.refresh();
    sessions.lost();
  });
  if (composer) write(conversation, composer);
  // A branch that a link has led to is the one that goes on from here.
  const { otherBranch } = place.dataset;
  if (otherBranch) {
    const path = `/api/chat/sessions/${conversation.sessionId}/branch`;
    conversation.settled = json("PUT", path, { body: { messageId: otherBranch } });
    conversation.settled.catch((failure) => conversation.trouble(failure));
  }
  conversation.resume();

  function changed() {
    list.refresh();
    if (conversation.sessionId) tell({ name: "session", sessionId: conversation.sessionId });
    tell({ name: "list" });
  }
}

/** Keep the conversation as the server has it, whoever goes on with it, and wherever. */
function follow(conversation) {
  hear(({ name, sessionId }) => {
    if (name === "session" && sessionId === conversation.sessionId) conversation.sync();
  });
  document.addEventListener("visibilitychange", () => document.hidden || conversation.sync());
  addEventListener("online", () => conversation.sync());
  addEventListener("pageshow", ({ persisted }) => persisted && conversation.sync());
  let seen = null;
  list.list.addEventListener("refreshed", () => {
    const link = conversation.sessionId && list.entry(conversation.sessionId);
    if (!link?.dataset.updated) {
      // Deleted or archived on another device, or only out of the list's first part.
      if (seen !== null) conversation.sync();
      seen = null;
      return;
    }
    sessions.showTitle(link.title);
    const state = `${link.dataset.updated} ${link.hasAttribute("data-answering")}`;
    const news = seen !== null && state !== seen;
    seen = state;
    if (news) conversation.sync();
  });
}

/** Let the composer write in the conversation. */
function write(conversation, composer) {
  const send = () => {
    const { values } = composer;
    composer.clear();
    conversation.send(values);
  };
  composer.addEventListener("send", send);
  composer.addEventListener("stop", () => conversation.stop());
  composer.addEventListener("chosen", () => {
    const { message: _, ...chosen } = composer.values;
    if (!conversation.sessionId || !chosen.model || conversation.busy) return;
    const path = `/api/chat/sessions/${conversation.sessionId}`;
    // Sending says it once more, so a failure here costs nothing.
    const saved = conversation.settled.then(() => json("PATCH", path, { body: chosen }));
    conversation.settled = saved.catch(() => {});
  });
  conversation.addEventListener("refused", ({ detail: { message, failure, provider } }) => {
    composer.restore(message);
    conversation.trouble(failure, { again: send, provider });
    if (failure.code === "session_not_found") conversation.lose();
    if (failure.code === "answer_in_progress") conversation.sync();
  });
  const unsent = conversation.unconfirmed();
  if (unsent) {
    composer.restore(unsent.message);
    composer.choose(unsent);
  }
  for (const button of all("[data-suggestion]")) {
    button.disabled = false; // before this, a click would have been lost
    button.addEventListener("click", () => {
      composer.restore(button.textContent.trim());
      composer.dispatchEvent(new Event("send"));
    });
  }
}

/** Whoever signs out leaves nothing behind, in any tab. */
function signingOut() {
  one("#sign-out").addEventListener("submit", async (event) => {
    event.preventDefault();
    deletions.commitAll();
    // Afterwards nobody is there who may delete it.
    await Promise.race([conversation?.deleted().catch(() => {}), pause(3000)]);
    storage.clear();
    tell({ name: "signed-out" });
    event.target.submit();
  });
  hear(({ name }) => name === "signed-out" && setTimeout(() => location.reload(), 500));
}

function shortcuts() {
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.isComposing) return;
    const writing = event.target.matches?.("input, textarea, select");
    const search = one(".sidebar .search input");
    if (event.key === "k" && search.checkVisibility()) search.focus();
    else if (event.key === "z" && !writing && (conversation?.undo() || deletions.undoLast()));
    else return;
    event.preventDefault();
  });
}
