// Conversations on their way out: gone from sight at once, and from the server when nobody undid it.
//
// What is to be deleted is known to all tabs, so that it shows nowhere meanwhile. Going on to another page of ours
// takes the chance to undo along; closing the tab ends it, and deletes. What a crash left behind is deleted later.

import { newKey, request } from "./api.js";
import { tell } from "./channel.js";
import { leave, movesOn } from "./leaving.js";
import * as storage from "./storage.js";
import { data, text } from "./texts.js";
import { toast } from "./toasts.js";

const SECONDS = 10;
const ABANDONED = 60_000;
const NAME = "deleting:";
// Told whenever a conversation goes out of sight or comes back.
export const deletions = new EventTarget();

const tab = tabId();
const offers = new Map();

export const isDeleted = (sessionId) => storage.read(NAME + sessionId) !== null;

/** Delete a conversation, unless it is undone; `open` says that it is the one on the page, which is left. */
export function remove(sessionId, title, { open = false } = {}) {
  storage.write(NAME + sessionId, { title, open, tab, due: Date.now() + SECONDS * 1000 });
  changed();
  if (open) leave(data.urls.newChat);
  else offer(sessionId);
}

function offer(sessionId) {
  const { title, due, open } = storage.read(NAME + sessionId);
  const seconds = Math.max(3, (due - Date.now()) / 1000);
  const shown = toast(text("conversationDeleted", { title }), {
    seconds,
    undo: () => {
      offers.delete(sessionId);
      storage.write(NAME + sessionId, null);
      changed();
      if (open) leave(data.urls.conversation + sessionId);
    },
    over: () => commit(sessionId),
  });
  offers.set(sessionId, shown);
}

async function commit(sessionId) {
  offers.delete(sessionId);
  try {
    await request("DELETE", `/api/chat/sessions/${sessionId}`);
  } catch (failure) {
    // Nothing is lost by a failure: the conversation is simply there again.
    if (failure.status !== 404) toast(failure.message);
  }
  storage.write(NAME + sessionId, null);
  storage.write(`draft:${sessionId}`, null);
  changed();
}

/** Delete at once, from a page that ends: nobody will be there to hear the answer. */
export function commitAll() {
  for (const [sessionId, shown] of offers) {
    shown.close();
    storage.write(NAME + sessionId, { ...storage.read(NAME + sessionId), sent: true });
    request("DELETE", `/api/chat/sessions/${sessionId}`, { keepalive: true }).catch(() => {});
  }
  offers.clear();
}

function changed() {
  deletions.dispatchEvent(new Event("changed"));
  tell({ name: "list" });
}

/** Take the last deletion back; tells whether there was one. */
export function undoLast() {
  const last = [...offers.values()].at(-1);
  last?.undo();
  return Boolean(last);
}

/** Go on with what earlier pages have begun. */
export function resume() {
  for (const name of storage.names(NAME)) {
    const sessionId = name.slice(NAME.length);
    const { due, sent, tab: owner } = storage.read(name);
    const late = Date.now() - due;
    if (owner === tab ? sent || late > 0 : late > ABANDONED) commit(sessionId);
    else if (owner === tab) offer(sessionId);
  }
}

function tabId() {
  try {
    sessionStorage.tab ??= newKey();
    return sessionStorage.tab;
  } catch {
    return newKey();
  }
}

addEventListener("pagehide", () => movesOn() || commitAll());
