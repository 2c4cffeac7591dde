// Renaming where the name stands.

import { composing } from "./composer.js";
import { make } from "./dom.js";

/** Put a field in the place of `element`; `save` gets another name than `before`, and may refuse it by raising. */
export function renameInPlace(element, before, label, save) {
  const field = make("input", { value: before, maxLength: 200, className: "rename-field", autocomplete: "off", enterKeyHint: "done" });
  field.setAttribute("aria-label", label);
  const back = document.activeElement;
  let over = false;
  // A page keeps its heading, for who does not see it.
  const shown = (whether) => {
    if (element.matches("h1")) element.classList.toggle("visually-hidden", !whether);
    else element.hidden = !whether;
  };
  const close = () => {
    over = true;
    field.remove();
    shown(true);
  };
  const finish = async ({ focus = true } = {}) => {
    if (over) return;
    const title = field.value.trim();
    if (title && title !== before) {
      over = true;
      try {
        await save(title);
      } catch (failure) {
        over = false;
        field.setCustomValidity(failure.message);
        field.reportValidity();
        return;
      }
    }
    close();
    if (focus) back?.focus();
  };
  field.addEventListener("input", () => field.setCustomValidity(""));
  field.addEventListener("blur", () => finish({ focus: false }));
  field.addEventListener("keydown", (event) => {
    if (composing(event)) return;
    if (event.key === "Enter") finish();
    else if (event.key === "Escape") {
      close();
      back?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  element.after(field);
  shown(false);
  field.focus();
  field.select();
}
