// Models that their providers no longer serve, or will stop serving within 30 days.

import { make } from "./dom.js";
import { text } from "./texts.js";

const NEAR_DAYS = 30;
const DAY = 24 * 3600 * 1000;

/** Return the words about a model of the API's list that is retired or soon will be; `""` about any other. */
export function retirement({ retiresOn }) {
  const moment = Date.parse(retiresOn ?? "");
  if (!(moment - Date.now() <= NEAR_DAYS * DAY)) return "";
  const date = new Date(moment).toLocaleDateString(document.documentElement.lang, { timeZone: "UTC" });
  return text(moment <= Date.now() ? "retired" : "retires", { date });
}

/** Put these words, where there are any, beside the model's id in a chooser's button. */
export function marked(button, model) {
  const words = retirement(model);
  if (words) button.append(" ", make("span", { className: "retiring" }, words));
  return button;
}
