// What was written and not sent yet, per conversation; and what was sent and never confirmed.

import * as storage from "./storage.js";

const LONGEST = 30 * 24 * 3600 * 1000;
const NEW = "new";

for (const name of [...storage.names("draft:"), ...storage.names("sent:")]) {
  if (!(Date.now() - storage.read(name)?.at < LONGEST)) storage.write(name, null);
}

export const draftOf = (sessionId) => storage.read(`draft:${sessionId ?? NEW}`)?.text ?? "";

export function keepDraft(sessionId, text) {
  storage.write(`draft:${sessionId ?? NEW}`, text ? { text, at: Date.now() } : null);
}

/** Return the request that the server was sent and nobody knows whether it arrived: `{key, body}`. */
export const unconfirmed = (sessionId) => storage.read(`sent:${sessionId ?? NEW}`);

export function sent(sessionId, key, body) {
  storage.write(`sent:${sessionId ?? NEW}`, { key, body, at: Date.now() });
}

export const confirmed = (sessionId) => storage.write(`sent:${sessionId ?? NEW}`, null);
