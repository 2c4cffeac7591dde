// What this browser keeps from one page to the next: drafts and the like, never a token.
//
// Where the browser refuses to keep anything, memory does until the page goes.

import { data } from "./texts.js";

const ALL = "chat:";
const OURS = `${ALL}${data.userId}:`;
const memory = new Map();
let closed = false;

function tried(work, otherwise) {
  try {
    return work();
  } catch {
    return otherwise;
  }
}

const keys = () => tried(() => Object.keys(localStorage), []).filter((key) => key.startsWith(ALL));

/** Return what was kept under `name`, or `null`. */
export function read(name) {
  const key = OURS + name;
  const text = memory.get(key) ?? tried(() => localStorage.getItem(key), null);
  return text === null ? null : tried(() => JSON.parse(text), null);
}

/** Keep `value` under `name`; `null` forgets it. */
export function write(name, value) {
  if (closed) return;
  const key = OURS + name;
  memory.delete(key);
  if (value === null) {
    tried(() => localStorage.removeItem(key));
    return;
  }
  const text = JSON.stringify(value);
  const kept = tried(() => (localStorage.setItem(key, text), true), false);
  if (kept) return;
  // What was kept before would be older than what memory has.
  tried(() => localStorage.removeItem(key));
  memory.set(key, text);
}

/** Return the names under which something is kept that begin with `start`. */
export function names(start) {
  const all = new Set([...keys(), ...memory.keys()]);
  return [...all].filter((key) => key.startsWith(OURS + start)).map((key) => key.slice(OURS.length));
}

/** Forget everything, of whoever used this browser, and keep nothing more of this page. */
export function clear() {
  closed = true;
  memory.clear();
  for (const key of keys()) tried(() => localStorage.removeItem(key));
}

// What somebody else has left here is nobody's business now.
for (const key of keys()) if (!key.startsWith(OURS)) tried(() => localStorage.removeItem(key));
