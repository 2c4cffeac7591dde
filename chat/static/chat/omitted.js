// The line above the first message that the model was sent for the newest answer.

import { all, one } from "./dom.js";
import { text } from "./texts.js";

/** Take over from `fresh`, the same conversation as the server has it, how much was left out. */
export function copyOmitted(fresh, conversation) {
  const { omitted = "0", firstSent = "" } = fresh.dataset;
  showOmitted(conversation, { omitted: Number(omitted), firstMessageId: firstSent });
}

/** Draw the line for an answer's `context`; an answer that does not tell it changes nothing. */
export function showOmitted(conversation, context) {
  if (!context) return;
  conversation.dataset.omitted = context.omitted;
  conversation.dataset.firstSent = context.firstMessageId;
  drawOmitted(conversation);
}

/** Move the line after messages have been added or removed. */
export function drawOmitted(conversation) {
  const { omitted = "0", firstSent } = conversation.dataset;
  all(".not-sent", conversation).forEach((line) => line.remove());
  const first = Number(omitted) > 0 && one(`[data-message="${CSS.escape(firstSent)}"]`, conversation);
  if (!first) return;
  const line = document.createElement("p");
  line.className = "not-sent";
  line.textContent = text(Number(omitted) === 1 ? "notSentOne" : "notSent", { count: omitted });
  first.before(line);
}
