// The list of conversations: kept up to date, read on as far as somebody scrolls, and searched while they type.

import { hear } from "./channel.js";
import { composing } from "./composer.js";
import { deletions, isDeleted } from "./deletions.js";
import { all, make, one } from "./dom.js";
import { part } from "./fragments.js";
import { data } from "./texts.js";

// While something is being answered somewhere, its end is soon of interest; otherwise only what others do elsewhere.
const SOON = 4000;
const LATER = 30_000;
const TYPING = 200;

const place = one("#session-list");
const search = one(".sidebar .search input");
// Tells `refreshed`.
export const list = new EventTarget();

let current = data.sessionId;
let searched = "";
let refreshing = null;
let again = false;
let lastRefresh = Date.now();

export const entry = (sessionId) => one(`#session-list a[data-session="${CSS.escape(sessionId)}"]`);

/** Return the `updatedAt` of a conversation in its newest state that this page has shown. */
export function lastSeen(sessionId) {
  const shown = all(`[data-session="${CSS.escape(sessionId)}"][data-updated]`).map((element) => element.dataset.updated);
  return shown.reduce((last, moment) => (Date.parse(moment) >= Date.parse(last) ? moment : last), shown[0]);
}

/** Say which conversation the page shows. */
export function show(sessionId) {
  current = sessionId;
  mark(place);
}

/** Read the list again. Calls meanwhile are one more reading, after this one. */
export function refresh() {
  if (refreshing) again = true;
  else refreshing = read().finally(() => (refreshing = null));
  return refreshing;
}

async function read() {
  do {
    again = false;
    lastRefresh = Date.now();
    const words = searched;
    const path = words ? `${data.urls.list}?q=${encodeURIComponent(words)}` : data.urls.list;
    let fresh;
    try {
      fresh = await part(path, "[data-list]");
    } catch {
      return; // it is as it was, and the next occasion is not far
    }
    // Somebody renames in it, has a menu of it open, or typed on meanwhile.
    if (words !== searched || one(".rename-field", place) || one("#session-menu:popover-open")) continue;
    if (!words) keepLater(fresh);
    mark(fresh);
    swap(fresh);
  } while (again);
  list.dispatchEvent(new Event("refreshed"));
}

function mark(root) {
  for (const link of all("a[data-session]", root)) {
    if (link.dataset.session === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    link.closest("li").hidden = isDeleted(link.dataset.session);
  }
  for (const section of all("section", root)) section.hidden = !one("li:not([hidden])", section);
}

function swap(fresh) {
  const old = one("[data-list]", place);
  if (old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const of = focused && one("[data-session]", focused.closest("li") ?? focused)?.dataset.session;
  const kind = focused?.matches("button") ? "button" : "a";
  old.replaceWith(fresh);
  if (of) one(kind, entry(of)?.closest("li") ?? fresh)?.focus();
  endless(place, "[data-list]");
}

/** Keep what was read on to: it is older than everything in the first part of the list. */
function keepLater(fresh) {
  const newMore = one(".more", fresh);
  const old = one("[data-list]", place);
  if (!newMore || one(".hits", old)) return;
  const last = all("section a[data-updated]", fresh).at(-1)?.dataset.updated ?? "";
  const known = new Set(all("a[data-session]", fresh).map((link) => link.dataset.session));
  let kept = false;
  for (const link of all("a[data-updated]", old)) {
    const older = link.dataset.updated < last && !link.hasAttribute("data-pinned");
    if (!older || known.has(link.dataset.session)) continue;
    const item = link.closest("li");
    append(fresh, item.closest("section"), [item]);
    kept = true;
  }
  if (kept) newMore.remove();
  const more = one(".more", old);
  if (kept && more) fresh.append(more);
}

/** Put rows at the end of a list, under their own day's heading. */
function append(root, section, items) {
  const { day } = section.dataset;
  let last = all("section", root).at(-1);
  if (last?.dataset.day !== day) {
    last = make("section", { className: section.className }, make("h2", {}, day), make("ul"));
    last.dataset.day = day;
    const more = one(".more", root);
    if (more) more.before(last);
    else root.append(last);
  }
  one("ul", last).append(...items);
}

/** Read a list on when its end comes into sight; without this, its last link leads there. */
export function endless(root, selector) {
  const link = root && one("[data-more]", root);
  if (!link) return;
  const watcher = new IntersectionObserver(
    async ([seen]) => {
      if (!seen.isIntersecting) return;
      watcher.disconnect();
      const body = link.closest(selector);
      try {
        const fresh = await part(link.dataset.more || link.getAttribute("href"), selector);
        if (!link.isConnected) return;
        link.closest(".more").remove();
        for (const section of all("section", fresh)) append(body, section, all("li", section));
        if (one(".hits", fresh)) one(".hits", body)?.append(...all("li", one(".hits", fresh)));
        const more = one(".more", fresh);
        if (more) body.append(more);
        mark(body);
        endless(root, selector);
      } catch {
        // The link itself is still there.
      }
    },
    { rootMargin: "200px" },
  );
  watcher.observe(link);
}

function listenToSearch() {
  let timer = 0;
  const look = () => {
    const words = search.value.trim();
    if (words === searched) return;
    searched = words;
    refresh();
  };
  search.addEventListener("input", (event) => {
    clearTimeout(timer);
    if (!event.isComposing) timer = setTimeout(look, TYPING);
  });
  search.addEventListener("compositionend", look);
  search.addEventListener("keydown", (event) => {
    if (composing(event)) return;
    if (event.key === "Escape" && search.value) {
      search.value = "";
      look();
    } else if (event.key === "ArrowDown") one("a", place)?.focus();
    else return;
    event.preventDefault();
  });
  place.addEventListener("keydown", (event) => {
    if (event.target.matches("input") || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    const links = all("a", place).filter((link) => link.checkVisibility());
    const at = links.indexOf(event.target.closest("li, p")?.contains(event.target) ? linkOf(event.target) : null);
    if (at < 0) return;
    event.preventDefault();
    (links[at + (event.key === "ArrowDown" ? 1 : -1)] ?? search).focus();
  });
}

const linkOf = (element) => (element.matches("a") ? element : one("a", element.closest("li")));

/** Begin: from now on the list is up to date. */
export function keep() {
  mark(place);
  endless(place, "[data-list]");
  const history = one("#history");
  if (history) {
    mark(history);
    endless(history, "#history");
  }
  listenToSearch();
  deletions.addEventListener("changed", () => {
    mark(place);
    if (history) mark(history);
  });
  hear(({ name }) => {
    if (name === "list") refresh();
  });
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  addEventListener("online", refresh);
  addEventListener("pageshow", ({ persisted }) => persisted && refresh());
  setInterval(() => {
    if (document.hidden) return;
    const pause = one("[data-answering]", place) ? SOON : LATER;
    if (Date.now() - lastRefresh >= pause) refresh();
  }, 1000);
}
