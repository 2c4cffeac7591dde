// What went wrong, said inside the conversation, with one next step.

import { clone, make, one } from "./dom.js";
import { data, text } from "./texts.js";

// A page of ours that is not there has no code of the API.
const GONE_CODES = new Set(["session_not_found", "not_found", "unexpected"]);
const SETTINGS_CODES = new Set(["provider_not_configured", "provider_key_unreadable", "provider_unknown"]);

/** Return a notice of a failure; `again` is what a second try would do, `provider` who was asked. */
export function notice(failure, { again = null, provider = "" } = {}) {
  const element = clone("t-notice");
  element.dataset.notice = failure.code;
  const words = one("p", element);
  const actions = one(".trouble-actions", element);
  words.textContent = failure.message;
  quote(one(".own-words", element), failure.detail);
  if (failure.status === 401) {
    words.textContent = text("signedOut");
    actions.append(link(text("signInAgain"), `${data.urls.login}?next=${encodeURIComponent(location.pathname)}`));
  } else if (failure.code === "csrf_failed" || failure.code === "other_user") {
    actions.append(link(text("reload"), location.pathname));
  } else if (SETTINGS_CODES.has(failure.code)) {
    actions.append(link(text("openSettings"), provider ? data.urls.provider + provider : data.urls.settings));
  } else if (failure.code === "message_not_found") {
    actions.append(link(text("reload"), location.pathname));
  } else if (failure.status === 404 && GONE_CODES.has(failure.code)) {
    words.textContent = text("gone");
    actions.append(link(text("untitled"), data.urls.newChat));
  } else if (again && failure.status !== 400) {
    const button = make("button", { type: "button", className: "button" }, text("tryAgain"));
    button.addEventListener("click", again);
    if (failure.retryAfter) wait(button, failure.retryAfter);
    actions.append(button);
  }
  return element;
}

/** Show the provider's own words, folded, or hide their place where there are none. */
export function quote(element, words) {
  element.hidden = !words;
  element.open = false;
  one("p", element).textContent = words;
}

const link = (words, href) => make("a", { className: "button", href }, words);

/** Keep a button from being pressed before it can succeed, and say for how long. */
export function wait(button, seconds) {
  const ready = performance.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((ready - performance.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? text("tryAgainIn", { seconds: left }) : text("tryAgain");
    if (left <= 0) clearInterval(timer);
  };
  const timer = setInterval(tick, 500);
  tick();
}
