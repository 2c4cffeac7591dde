// Conversations that are being deleted: hidden at once, and deleted on the server when the time to undo is over.
//
// All tabs know what is being deleted and hide it. Going to another page of this site takes the chance to undo along;
// closing the tab ends it, and deletes. Deletions that a crash left behind are carried out later.
//
// The server deletes only what nobody has used since the person pressed Delete: a question that another tab or
// device has asked by then is kept, and the conversation comes back into the list.

import { newKey, request } from "./api.js";
import { hear, tell } from "./channel.js";
import { leave, movesOn } from "./leaving.js";
import * as storage from "./storage.js";
import { data, text } from "./texts.js";
import { toast } from "./toasts.js";

const SECONDS = 10;
const ABANDONED = 60_000;
// A request that a closed tab has sent is done by then, or refused.
const SENT = 5000;
const NAME = "deleting:";
// Dispatches `changed` when a conversation is hidden or comes back, in whichever tab.
export const deletions = new EventTarget();

const tab = tabId();
const offers = new Map();

export function isDeleted(sessionId) {
  const found = storage.read(NAME + sessionId);
  if (!found) return false;
  return found.sent ? Date.now() - found.sent < SENT : Date.now() - found.due < ABANDONED;
}

/** Return a path of the API that deletes nothing if the conversation has been used after `since`. */
export const unchangedSince = (path, since) => (since ? `${path}?unchangedSince=${encodeURIComponent(since)}` : path);

/**
 * Delete a conversation, unless it is undone or used after `since`, its `updatedAt` as the person has seen it.
 *
 * `open` says that it is the one on the page, which is left.
 */
export function remove(sessionId, title, { since, open = false }) {
  storage.write(NAME + sessionId, { title, open, since, tab, due: Date.now() + SECONDS * 1000 });
  changed();
  if (open) leave(data.urls.newChat);
  else offer(sessionId);
}

/** Take a deletion back, also one of another tab, because somebody uses the conversation. */
export function keep(sessionId) {
  const found = storage.read(NAME + sessionId);
  if (!found) return;
  storage.write(NAME + sessionId, null);
  tell({ name: "kept", sessionId, title: found.title });
  changed();
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
  const found = storage.read(NAME + sessionId);
  if (!found) return; // another tab has taken it back
  let gone = true;
  try {
    await request("DELETE", pathOf(sessionId, found));
  } catch (failure) {
    gone = failure.status === 404;
    // Nothing is lost by a failure: the conversation is simply there again.
    if (failure.code === "session_changed") toast(text("conversationUsed", { title: found.title }));
    else if (!gone) toast(failure.message);
  }
  storage.write(NAME + sessionId, null);
  if (gone) {
    storage.write(`draft:${sessionId}`, null);
    tell({ name: "gone", sessionId });
  }
  changed();
}

/** Delete at once, from a page that ends: it will not be there to read the response. */
export function commitAll() {
  for (const [sessionId, shown] of offers) {
    shown.close();
    const found = storage.read(NAME + sessionId);
    if (!found) continue;
    storage.write(NAME + sessionId, { ...found, sent: Date.now() });
    request("DELETE", pathOf(sessionId, found), { keepalive: true }).catch(() => {});
  }
  offers.clear();
}

const pathOf = (sessionId, { since }) => unchangedSince(`/api/chat/sessions/${sessionId}`, since);

function changed() {
  deletions.dispatchEvent(new Event("changed"));
  tell({ name: "deletions" });
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

hear(({ name, sessionId, title }) => {
  if (name === "deletions") deletions.dispatchEvent(new Event("changed"));
  if (name !== "kept" || !offers.has(sessionId)) return;
  offers.get(sessionId).close();
  offers.delete(sessionId);
  toast(text("conversationUsed", { title }));
});
addEventListener("pagehide", () => movesOn() || commitAll());
