// Server-sent events from a response's body, wherever the network cut it.

/** Yield `{name, id, data}` for every whole event; an event cut off at the end is none. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new Parser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.feed(value);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export class Parser {
  #rest = "";
  #name = "";
  #data = [];
  #id = "";

  *feed(chunk) {
    let text = this.#rest + chunk;
    // A carriage return at the very end may be half of a line break.
    const held = text.endsWith("\r") ? "\r" : "";
    if (held) text = text.slice(0, -1);
    const lines = text.split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + held;
    for (const line of lines) {
      const event = this.#line(line);
      if (event) yield event;
    }
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return null;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.#name = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }

  #dispatch() {
    const [name, data] = [this.#name || "message", this.#data];
    [this.#name, this.#data] = ["", []];
    return data.length ? { name, id: this.#id, data: JSON.parse(data.join("\n")) } : null;
  }
}
