// The other tabs of the same browser: they hear at once what this one has changed.

const channel = "BroadcastChannel" in window ? new BroadcastChannel("chat") : null;

export const tell = (message) => channel?.postMessage(message);

export const hear = (listener) => channel?.addEventListener("message", ({ data }) => listener(data));
