// Writing a message anew, in its own place.

import { composing } from "./composer.js";
import { clone, one } from "./dom.js";
import { LengthLimit } from "./length-limit.js";

/** Open an editor in a message of the person's own; `send` gets the new words. Returns what closes it. */
export function edit(message, send) {
  const before = one(".bubble", message).textContent;
  const editor = clone("t-editor");
  const area = one("textarea", editor);
  area.value = before;
  message.classList.add("is-edited");
  message.append(editor);
  const limit = new LengthLimit(area, one(".characters", editor));
  grow(area);
  area.focus();
  area.setSelectionRange(before.length, before.length);

  const close = () => {
    editor.remove();
    message.classList.remove("is-edited");
  };
  const cancel = () => {
    close();
    one("[data-edit]", message)?.focus();
  };
  const submit = () => {
    const words = area.value;
    if (!words.trim() || !limit.allows()) return;
    if (words === before) cancel();
    else send(words);
  };
  area.addEventListener("input", () => grow(area));
  editor.addEventListener("keydown", (event) => {
    if (composing(event)) return;
    if (event.key === "Escape") cancel();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
    else return;
    event.preventDefault();
  });
  editor.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  one("[data-cancel]", editor).addEventListener("click", cancel);
  return close;
}

function grow(area) {
  if (CSS.supports("field-sizing", "content")) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
