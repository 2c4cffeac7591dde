// The list of conversations: a drawer where there is no room, and kept up to date.

import { all, clone, make, one } from "./dom.js";
import { data, text } from "./texts.js";

const narrow = matchMedia("(max-width: 47.5rem)");

export function drawer() {
  const root = document.documentElement;
  const [opener] = all("[data-drawer=open]");
  const set = (open) => {
    root.classList.toggle("drawer-is-open", open);
    opener.setAttribute("aria-expanded", String(open));
    one(".column").inert = open;
    if (open) one(".drawer-close").focus();
  };
  opener.setAttribute("role", "button");
  opener.setAttribute("aria-controls", "sidebar");
  opener.setAttribute("aria-expanded", "false");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-drawer]");
    if (!button) return;
    event.preventDefault();
    set(button.dataset.drawer === "open");
    if (button.dataset.drawer === "close") opener.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && root.classList.contains("drawer-is-open")) {
      set(false);
      opener.focus();
    }
  });
  narrow.addEventListener("change", () => set(false));
}

const entry = (sessionId) => one(`#session-list [data-session="${CSS.escape(sessionId)}"]`);

/** Bring a conversation to the top of the list, where it belongs when it has a new message. */
export function toTop(sessionId, title) {
  const link = entry(sessionId) ?? newEntry(sessionId, title);
  const item = link.closest("li");
  const old = item.closest("section");
  today().prepend(item);
  if (old && !one("li", old)) old.remove();
  return link;
}

export function answering(sessionId, running) {
  entry(sessionId)?.toggleAttribute("data-answering", running);
}

export function rename(sessionId, title) {
  const link = entry(sessionId);
  if (!link) return;
  one(".session-title", link).textContent = title;
  link.title = title;
}

function newEntry(sessionId, title) {
  const link = one("a", clone("t-session"));
  link.href = data.urls.conversation + sessionId;
  link.dataset.session = sessionId;
  link.title = title;
  link.setAttribute("aria-current", "page");
  one(".session-title", link).textContent = title;
  return link;
}

function today() {
  const list = one("#session-list");
  const first = one("section", list);
  if (first && one("h2", first).textContent === text("today")) return one("ul", first);
  const rows = make("ul");
  list.prepend(make("section", {}, make("h2", {}, text("today")), rows));
  return rows;
}
