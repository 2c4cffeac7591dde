// What can be done with a conversation: rename, pin, archive, delete. The menu is one for all of them.

import { json } from "./api.js";
import { tell } from "./channel.js";
import { deletions, isDeleted, remove } from "./deletions.js";
import { all, announce, one } from "./dom.js";
import { renameInPlace } from "./inplace.js";
import { lastSeen, refresh } from "./list.js";
import { beside } from "./popovers.js";
import { data, text } from "./texts.js";
import { toast } from "./toasts.js";

const title = one("#title");
const actions = one("#session-actions");
const menu = one("#session-menu");

/** Show a title above the conversation. */
export function showTitle(words) {
  if (title.textContent === words) return;
  title.textContent = words;
  document.title = words + document.title.slice(document.title.lastIndexOf(" · "));
}

/** A new conversation has got its place. */
export function opened(sessionId) {
  actions.dataset.session = sessionId;
  actions.hidden = false;
}

/** The conversation on the page is no longer there: nothing can be done with it. */
export function lost() {
  delete actions.dataset.session;
  actions.hidden = true;
}

async function change(sessionId, changes) {
  await json("PATCH", `/api/chat/sessions/${sessionId}`, { body: changes });
  for (const element of all(`[data-session="${CSS.escape(sessionId)}"]`)) {
    for (const name of ["pinned", "archived"]) {
      if (name in changes) element.toggleAttribute(`data-${name}`, changes[name]);
    }
    if (changes.title && element.matches("a")) one(".session-title", element).textContent = changes.title;
  }
  if (changes.title && actions?.dataset.session === sessionId) showTitle(changes.title);
  tell({ name: "list" });
  refresh();
}

/** Do something that is done at once; where it failed, say so. */
async function tried(work) {
  try {
    await work();
  } catch (failure) {
    toast(failure.message);
  }
}

function rename(element, before, sessionId) {
  renameInPlace(element, before, text("title"), async (words) => {
    await change(sessionId, { title: words });
    announce(text("renamed"));
  });
}

async function archive(sessionId, archived, item) {
  await change(sessionId, { archived });
  // The history shows the one kind or the other.
  const row = item?.closest("#history") ? item : null;
  if (row) row.hidden = true;
  toast(text(archived ? "conversationArchived" : "conversationBack"), {
    undo: () =>
      tried(async () => {
        await change(sessionId, { archived: !archived });
        if (row) row.hidden = false;
      }),
  });
}

function open(button) {
  const item = button.closest("li");
  const holder = item ? one("[data-session]", item) : actions;
  const { session } = holder.dataset;
  const name = item ? one(".session-title", item) : title;
  const acts = {
    rename: () => rename(item ? name.closest("a") : title, name.textContent.trim(), session),
    pin: () => tried(() => change(session, { pinned: true })),
    unpin: () => tried(() => change(session, { pinned: false })),
    archive: () => tried(() => archive(session, true, item)),
    unarchive: () => tried(() => archive(session, false, item)),
    delete: () => {
      const next = item?.nextElementSibling ?? item?.previousElementSibling;
      const open = data.sessionId === session || actions?.dataset.session === session;
      remove(session, name.textContent.trim(), { open, since: lastSeen(session) });
      one("a", next ?? one("#sidebar"))?.focus();
    },
  };
  const pinned = holder.hasAttribute("data-pinned");
  const archived = holder.hasAttribute("data-archived");
  const hidden = { pin: pinned || archived, unpin: !pinned, archive: archived, unarchive: !archived };
  for (const choice of all("[data-do]", menu)) {
    choice.hidden = Boolean(hidden[choice.dataset.do]);
    choice.onclick = () => {
      menu.hidePopover();
      acts[choice.dataset.do]();
    };
  }
  beside(menu, button);
  one("[data-do]:not([hidden])", menu).focus();
}

/** Begin: buttons that open the menu do so from now on. */
export function menus() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-menu], [data-rename]");
    if (!button) return;
    if (button.matches("[data-menu]")) open(button);
    else rename(title, title.textContent, actions.dataset.session);
  });
  menu.addEventListener("keydown", (event) => {
    const items = all("[data-do]:not([hidden])", menu);
    const at = items.indexOf(document.activeElement);
    const to = {
      ArrowDown: (at + 1) % items.length,
      ArrowUp: (at - 1 + items.length) % items.length,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (event.key === "Tab") menu.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    items[to].focus();
  });
  // Another tab deletes what is open here, or takes that back.
  deletions.addEventListener("changed", () => {
    if (actions?.dataset.session) actions.hidden = isDeleted(actions.dataset.session);
  });
}
