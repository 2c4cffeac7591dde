// Asking for another answer with another model: a small panel beside the button.

import { one } from "./dom.js";
import { ModelPicker } from "./models.js";
import { beside } from "./popovers.js";

let picker = null;
let chosen = () => {};

/** Open the panel at `button`, with this choice to begin with; `then` gets the one that was made. */
export function askAgainWith(button, now, then) {
  const panel = one("#again-panel");
  if (!picker) {
    picker = new ModelPicker(panel);
    one("form", panel).addEventListener("submit", (event) => {
      event.preventDefault();
      finish(panel);
    });
    picker.addEventListener("picked", () => one("[type=submit]", panel).focus());
  }
  chosen = then;
  picker.chosen = now;
  const listed = picker.open();
  beside(panel, button);
  picker.provider.focus();
  listed.then(() => panel.matches(":popover-open") && beside(panel, button));
}

function finish(panel) {
  if (!picker.chosen.model) {
    picker.model.focus();
    return;
  }
  panel.hidePopover();
  chosen(picker.chosen);
}
