// The sidebar as a drawer, where there is no room for it.

import { all, one } from "./dom.js";

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
    if (event.key === "Escape" && !event.defaultPrevented && root.classList.contains("drawer-is-open")) {
      set(false);
      opener.focus();
    }
  });
  narrow.addEventListener("change", () => set(false));
}
