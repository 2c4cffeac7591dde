// Putting words on the clipboard.

import { announce, icon, make } from "./dom.js";
import { text } from "./texts.js";

/** Copy `words`, and let the button that was pressed say so. */
export async function copy(button, words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    // Without TLS there is no clipboard; the old way still works there.
    const area = make("textarea", { value: words, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  announce(text("copied"));
  if (button.dataset.copied) return;
  button.dataset.copied = "1";
  const before = [...button.childNodes];
  button.replaceChildren(button.matches(".code-copy") ? text("copied") : icon("check"));
  setTimeout(() => {
    button.replaceChildren(...before);
    delete button.dataset.copied;
  }, 1500);
}
