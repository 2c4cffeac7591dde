// The service's own API, asked as the person who is signed in to this page.

import { data, text } from "./texts.js";

/** Why a call did not succeed; `status` is 0 where the server was not reached at all. */
export class Failure extends Error {
  constructor(message, { status = 0, code = "unreachable", fields = {}, retryAfter = null, detail = "" } = {}) {
    super(message);
    Object.assign(this, { status, code, fields, retryAfter, detail });
  }
}

function csrfToken() {
  // The cookie changes with every sign-in, in whichever tab; the page's own copy does not.
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  return cookie ? cookie[1] : (document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "");
}

/** Send a request and return its response; raises `Failure` for whatever is not a success. */
export async function request(method, path, { body, headers = {}, signal, keepalive = false } = {}) {
  const head = { Accept: "application/json", "Accept-Language": document.documentElement.lang, ...headers };
  if (method !== "GET") head["X-CSRFToken"] = csrfToken();
  // Somebody else may have signed in in another tab: nothing of this page is theirs.
  if (data.userId !== undefined) head["X-Chat-User"] = String(data.userId);
  if (body !== undefined) head["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: head,
      signal,
      keepalive,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      redirect: "error",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(text("offline"));
  }
  if (!response.ok) throw await failureOf(response);
  return response;
}

export async function json(method, path, options) {
  const response = await request(method, path, options);
  return response.status === 204 ? null : response.json();
}

async function failureOf(response) {
  const told = await response.json().catch(() => ({}));
  const seconds = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  return new Failure(told.error || text("unexpected"), {
    status: response.status,
    code: told.code || "unexpected",
    fields: told.fields || {},
    detail: told.detail || "",
    retryAfter: Number.isFinite(seconds) ? seconds : null,
  });
}

/** A key under which the server starts an answer once, however often the request is sent. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
