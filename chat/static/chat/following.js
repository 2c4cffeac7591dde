// An answer as one unbroken row of events, however often the connection breaks.

import { Failure, request } from "./api.js";
import { events } from "./events.js";
import { pause } from "./dom.js";
import { text } from "./texts.js";

const EVENT_STREAM = { Accept: "text/event-stream, application/json" };
const START_TRIES = 3;
const LONGEST_PAUSE = 10_000;

/**
 * Start an answer, and follow it to its end.
 *
 * The same key goes with every try, so that the server starts one answer at most.
 * Besides the server's events, `cut` says that the connection is gone for now.
 */
export async function* started(path, body, key, restarts = 3) {
  let response;
  for (let tries = 1; ; tries += 1) {
    try {
      response = await request("POST", path, { body, headers: { ...EVENT_STREAM, "Idempotency-Key": key } });
      break;
    } catch (failure) {
      const passing = failure.status === 0 || failure.code === "shutting_down";
      if (!passing || tries >= START_TRIES) throw failure;
      await pause((failure.retryAfter ?? tries) * 1000);
    }
  }
  const place = { sessionId: null, id: "" };
  try {
    if (yield* untilEnd(response, place)) return;
  } catch (error) {
    if (error instanceof Failure) throw error;
  }
  if (place.sessionId === null) {
    // Nothing was heard, so we cannot know whether it began: the same key asks again.
    if (restarts === 0) throw new Failure(text("offline"));
    await pause(1000);
    yield* started(path, body, key, restarts - 1);
    return;
  }
  yield { name: "cut" };
  yield* resumed(place.sessionId, place.id);
}

/** Follow the running answer of a conversation from just after event `id` to its end. */
export async function* resumed(sessionId, id) {
  const place = { sessionId, id };
  const path = `/api/chat/sessions/${sessionId}/stream`;
  for (let wait = 250; ; wait = Math.min(wait * 2, LONGEST_PAUSE)) {
    try {
      const headers = { ...EVENT_STREAM, ...(place.id ? { "Last-Event-ID": place.id } : {}) };
      const response = await request("GET", path, { headers });
      if (response.status === 204) {
        yield { name: "nothing" };
        return;
      }
      const before = place.id;
      if (yield* untilEnd(response, place)) return;
      if (place.id !== before) wait = 250;
    } catch (error) {
      const passing = !(error instanceof Failure) || error.status === 0 || error.status >= 500 || error.status === 429;
      if (!passing) throw error;
      yield { name: "cut" };
      wait = Math.max(wait, (error.retryAfter ?? 0) * 1000);
    }
    await untilWorthTrying(wait);
  }
}

/** Wait, but no longer than until the network or the person is back. */
function untilWorthTrying(milliseconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(over, milliseconds);
    function over() {
      clearTimeout(timer);
      removeEventListener("online", over);
      document.removeEventListener("visibilitychange", over);
      resolve();
    }
    addEventListener("online", over);
    document.addEventListener("visibilitychange", over);
  });
}

/** Pass events on; return whether the one that ends an answer came, and not only what ends this reading. */
async function* untilEnd(response, place) {
  for await (const event of events(response.body)) {
    if (event.id) place.id = event.id;
    if (event.name === "session") place.sessionId = event.data.sessionId;
    // The answer goes on in another process, from which it can be read.
    if (event.name === "error" && event.data.code === "shutting_down") return false;
    yield event;
    if (event.name === "done" || event.name === "error") return true;
  }
  return false;
}
